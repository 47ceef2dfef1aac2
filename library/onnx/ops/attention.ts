/** Attention as one op, from version 23 on: of heads [N,h,T,d], or of rows [N,T,h·d]. */
import { iota, softmax, tanh, where, type Tensor } from '../../../compiler/dsl/index.ts';
import type { Call, Ops } from '../call.ts';

function attention(call: Call): Tensor {
  const [past, length] = [call.maybe(4) ?? call.maybe(5), call.maybe(6)];
  if (past || length) throw call.fail('keys of earlier runs are not read', undefined, 'export it without a cache');
  const isRows = call.tensor(0).rank === 3;
  const q = headsOf(call, 0, 'q_num_heads');
  const H = q.shape[1];
  const [k, v] = [1, 2].map((i) => repeated(call, headsOf(call, i, 'kv_num_heads'), H));
  const scale = call.float('scale', q.shape[3] ** -0.5);
  const scores = capped(call, q.mul(scale).matmul(k.transpose()));
  const mask = call.optional(3);
  const added = mask && mask.dtype !== 'bool' ? scores.add(mask) : scores;
  const seen = visible(call, scores.shape.slice(-2));
  const read = softmax(seen ? where(seen, added, -Infinity) : added).matmul(v);
  // A query that a mask shows no key reads nothing.
  const out = mask && seen ? where(seen.any(-1, { keepDims: true }), read, 0) : read;
  if (!isRows) return out;
  const [N, , T, d] = out.shape;
  return out.permute(0, 2, 1, 3).reshape(N, T, H * d);
}

function headsOf(call: Call, i: number, count: string): Tensor {
  const x = call.tensor(i);
  if (x.rank === 4) return x;
  const heads = call.int(count, 0);
  const [N, T, width] = x.shape;
  if (x.rank !== 3 || heads < 1 || width % heads)
    throw call.damaged(`[${x.shape}] is not of ${heads} heads`, `${count} says how many there are`);
  return x.reshape(N, T, heads, width / heads).permute(0, 2, 1, 3);
}

/** As many heads as the queries have: each of the keys' is that of several. */
function repeated(call: Call, x: Tensor, heads: number): Tensor {
  const [N, H, S, d] = x.shape;
  if (H === heads) return x;
  if (heads % H) throw call.damaged(`${heads} heads of queries cannot share ${H} of keys`);
  return x
    .unsqueeze(2)
    .broadcastTo(N, H, heads / H, S, d)
    .reshape(N, heads, S, d);
}

function capped(call: Call, scores: Tensor): Tensor {
  const cap = call.float('softcap', 0);
  return cap > 0 ? tanh(scores.div(cap)).mul(cap) : scores;
}

/** Which keys a query sees, by the mask and by how far they are from it; undefined where it is all. */
function visible(call: Call, [T, S]: readonly number[]): Tensor | undefined {
  const mask = call.optional(3);
  const given = mask?.dtype === 'bool' ? mask : undefined;
  const [before, after] = [
    call.int('left_window_size', -1),
    call.int('is_causal', 0) ? 0 : call.int('right_window_size', -1),
  ];
  const distance = () => iota([1, S], 1, 'i32').sub(iota([T, 1], 0, 'i32'));
  const bounds = [...(before >= 0 ? [distance().ge(-before)] : []), ...(after >= 0 ? [distance().le(after)] : [])];
  return [...(given ? [given] : []), ...bounds].reduce<Tensor | undefined>(
    (seen, one) => seen?.and(one) ?? one,
    undefined,
  );
}

export const attentions: Ops = { Attention: attention };
