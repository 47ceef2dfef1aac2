/** Attention as one value: what the rules of attention.rules find in plain algebra, so that no kernel stores the scores. */
import {
  broadcastShapes,
  formatShape,
  sameShape,
  sizeOf,
  type Attrs,
  type DType,
  type Node,
  type TensorType,
} from '../ir/index.ts';
import {
  attrNumber,
  contractedDType,
  defineOp,
  expectFloat,
  expectSameDType,
  shapeError,
  type Sample,
} from './define.ts';
import type { Random } from './random.ts';
import { broadcastStrides, dense, dot, forEachIndex } from './dense.ts';
import type { Functional } from './functional.ts';

/** What may follow q, k and v: a bias, which is a float, and a mask, which is a bool. */
export function scoreOperands<T>(operands: readonly T[], dtypeOf: (x: T) => string): { bias?: T; mask?: T } {
  const more = operands.slice(3);
  return { bias: more.find((x) => dtypeOf(x) !== 'bool'), mask: more.find((x) => dtypeOf(x) === 'bool') };
}

const dtypeOfType = (t: TensorType) => t.dtype;
const dtypeOfNode = (node: Node) => node.type.dtype;

/** Checks the operands of an attention and gives their sizes: q […, m, d], k […, n, d], v […, n, e]; batches broadcast. */
export function attentionDims(inputs: readonly TensorType[]) {
  const [q, k, v] = inputs.map((t) => t.shape);
  const { bias, mask } = scoreOperands(inputs, dtypeOfType);
  const shapes = `q is ${formatShape(q)}, k is ${formatShape(k)}, v is ${formatShape(v)}`;
  if ([q, k, v].some((s) => s.length < 2)) throw shapeError('attention', 'takes matrices', shapes, 'unsqueeze vectors');
  const batch = broadcastShapes(...[q, k, v].map((s) => s.slice(0, -2)));
  if (!batch) throw shapeError('attention', 'batch axes do not broadcast', shapes);
  const [m, d] = q.slice(-2);
  const [n, e] = v.slice(-2);
  if (k[k.length - 1] !== d) throw shapeError('attention', 'queries and keys differ in length', shapes);
  if (k[k.length - 2] !== n) throw shapeError('attention', 'there are not as many values as keys', shapes);
  const scores = [...batch, m, n];
  for (const [name, t] of [['bias', bias] as const, ['mask', mask] as const]) {
    if (!t || sameShape(broadcastShapes(t.shape, scores) ?? [], scores)) continue;
    const why = `${name} is ${formatShape(t.shape)}, scores are ${formatShape(scores)}`;
    throw shapeError('attention', `${name} does not broadcast to the scores`, why);
  }
  return { batch, m, n, d, e };
}

/** Checks their number and dtypes, and gives the result's. */
function checkOperands(inputs: readonly TensorType[], attrs: Attrs): DType {
  const { bias, mask } = scoreOperands(inputs, dtypeOfType);
  if (inputs.length < 3 || inputs.length !== 3 + Number(!!bias) + Number(!!mask) || (mask && mask !== inputs.at(-1))) {
    throw shapeError(
      'attention',
      'takes q, k, v, maybe a bias, maybe a mask',
      `got ${inputs.map((t) => t.dtype).join(', ')}`,
    );
  }
  const floats = inputs.filter((t) => t !== mask);
  expectFloat('attention', ...floats);
  expectSameDType('attention', floats.slice(0, 3));
  const dtype = contractedDType('attention', inputs, attrs);
  expectSameDType('attention', [{ dtype, shape: [] }, ...floats.slice(3)]);
  return dtype;
}

/** What attention makes of q·k: scale·q·k, bounded by a tanh where there is a cap (Gemma 2, section 2). */
export function scoreOf({ scale, cap }: Attrs, product: number): number {
  const scaled = (scale as number) * product;
  return cap === undefined ? scaled : (cap as number) * Math.tanh(scaled);
}

/** Derivative of `scoreOf` by q·k. */
export function slopeOf({ scale, cap }: Attrs, product: number): number {
  const factor = scale as number;
  return cap === undefined ? factor : factor * (cap as number) * (1 - Math.tanh(factor * product) ** 2);
}

/**
 * What −∞ counts as in a softmax: the lowest number. It is still nothing beside any other score, and a row of nothing else is a
 * mean over its keys, as with any other fill.
 */
export const LOWEST = -3.4028234663852886e38;

/** The same, for docs/ops.md. */
export const LOWEST_NOTE =
  'A score of −∞ counts as the lowest float32, −3.4·10³⁸: nothing beside any other, and where a row has no other (a query that sees no key) ' +
  'the weights are even, as with any finite fill, and the gradients are those of that mean. PyTorch gives NaN there, its ' +
  'scaled_dot_product_attention 0. Without mask and bias nothing makes a score infinite but infinite or overflowing q·k, and the same holds. A score of NaN or +∞ makes its row NaN, as in PyTorch.';

/** Checks the numbers of an attention. */
export function checkNumbers(op: string, { scale, cap, fill }: Attrs, mask: unknown): void {
  if (!Number.isFinite(scale)) throw shapeError(op, 'scale is a finite number');
  if (cap !== undefined && !Number.isFinite(cap)) throw shapeError(op, 'cap is a finite number');
  if (mask && typeof fill !== 'number') throw shapeError(op, 'a mask needs a fill');
}

/** softmax of the scores, by smaller ops, in the dtype of the result. */
const weightsOf = (f: Functional, inputs: readonly Node[], attrs: Attrs, dtype: DType): Node =>
  f.op('softmax', [scoresOf(f, inputs, attrs, dtype)]);

/** The scores by smaller ops. */
export function scoresOf(f: Functional, inputs: readonly Node[], attrs: Attrs, dtype: DType): Node {
  const [q, k] = inputs;
  const { bias, mask } = scoreOperands(inputs, dtypeOfNode);
  const scaled = f.mul(f.matmul(q, f.transpose(k), dtype), attrs.scale as number);
  const capped = attrs.cap === undefined ? scaled : f.mul(f.tanh(scaled), attrs.cap as number);
  const scores = bias ? f.add(capped, bias) : capped;
  const fill = () => f.constant(attrs.fill as number, dtype);
  return mask ? f.select(mask, scores, fill()) : scores;
}

/** dS = P∘(dy·vᵀ − Σ dy∘out), but not where the mask fills. */
function biasGradient(f: Functional, inputs: readonly Node[], attrs: Attrs, out: Node, dy: Node): Node {
  const [, , v] = inputs;
  const { mask } = scoreOperands(inputs, dtypeOfNode);
  const { dtype } = out.type;
  const narrow = (x: Node) => f.cast(x, v.type.dtype);
  const weights = weightsOf(f, inputs, attrs, dtype);
  const projected = f.sum(f.mul(dy, out), [out.type.shape.length - 1]);
  const dScores = f.mul(weights, f.sub(f.matmul(narrow(dy), f.transpose(v), dtype), projected));
  return mask ? f.select(mask, dScores, f.constant(0, dtype)) : dScores;
}

/** A random attention: sizes, shared keys, a bias, a mask. */
export function drawAttention(random: Random, alwaysBiased = false): Pick<Sample, 'inputs' | 'attrs'> {
  const [biased, masked] = [alwaysBiased || random.next() < 0.6, random.next() < 0.5];
  const batch = random.shape(0, 2, 3);
  const [m, n, d, e] = [random.int(1, 9), random.int(1, 12), random.int(1, 10), random.int(1, 10)];
  const shared = () => (random.next() < 0.3 ? random.broadcastable(batch) : batch);
  const f32 = (shape: readonly number[]) => ({ dtype: 'f32' as const, shape });
  const bias = biased ? [f32(random.broadcastable([...batch, m, n]))] : [];
  const mask = masked ? [{ dtype: 'bool' as const, shape: random.broadcastable([...batch, m, n]) }] : [];
  const inputs = [f32([...batch, m, d]), f32([...shared(), n, d]), f32([...shared(), n, e]), ...bias, ...mask];
  const capped = random.next() < 0.3;
  return { inputs, attrs: { scale: 0.5, ...(capped && { cap: 2.5 }), ...(masked && { fill: -3 }) } };
}

export const attention = defineOp({
  name: 'attention',
  doc: "softmax(s + bias)·v, with s = scale·q·kᵀ, or cap·tanh(scale·q·kᵀ): q […, m, d], k […, n, d], v […, n, e]; bias […, m, n] is optional, as is a bool mask: where it fails, the score is `fill`.'s.",
  kind: 'contract',
  contraction: 'attention',
  type: (inputs, attrs) => {
    const dtype = checkOperands(inputs, attrs);
    checkNumbers('attention', attrs, scoreOperands(inputs, dtypeOfType).mask);
    const { batch, m, e } = attentionDims(inputs);
    return { dtype, shape: [...batch, m, e] };
  },
  reference: (inputs, attrs, type) => {
    const { batch, m, n, d, e } = attentionDims(inputs);
    const [q, k, v] = inputs.map((x) => x.data);
    const { bias, mask } = scoreOperands(inputs, (x) => x.dtype);
    const rank = batch.length + 2;
    const strides = inputs.map((x) => broadcastStrides(x.shape, rank));
    const at = (x: typeof bias, index: readonly number[]) => x!.data[dot(index, strides[inputs.indexOf(x!)])];
    const out = dense(type);
    forEachIndex([...batch, m], (index, row) => {
      const [outer, i] = [index.slice(0, -1), index[index.length - 1]];
      const [q0, k0, v0] = [
        dot([...outer, i, 0], strides[0]),
        dot([...outer, 0, 0], strides[1]),
        dot([...outer, 0, 0], strides[2]),
      ];
      const scores = Float64Array.from({ length: n }, (_, j) => {
        if (mask && !at(mask, [...index, j])) return Math.max(attrNumber(attrs, 'fill'), LOWEST);
        let score = 0;
        for (let l = 0; l < d; l++) score += q[q0 + l] * k[k0 + j * d + l];
        return Math.max(scoreOf(attrs, score) + (bias ? at(bias, [...index, j]) : 0), LOWEST);
      });
      const max = scores.reduce((a, b) => Math.max(a, b));
      const weights = scores.map((score) => Math.exp(score - max));
      const sum = weights.reduce((a, b) => a + b);
      for (let j = 0; j < n; j++) {
        for (let l = 0; l < e; l++) out.data[row * e + l] += (weights[j] / sum) * v[v0 + j * e + l];
      }
    });
    return out;
  },
  // The weights are computed again (attention-gradient.ts). A bias alone has a derivative as large as the scores.
  gradient: ({ f, inputs, attrs, out, dy }) => {
    const { bias, mask } = scoreOperands(inputs, dtypeOfNode);
    const stats = f.op(
      'attention_stats',
      inputs.filter((_, i) => i !== 2),
      attrs,
    );
    const operands = [...inputs, dy, out, stats];
    // They have their operands' dtype.
    const { dtype: _ofSum, ...rest } = attrs;
    const [dq, dk, dv] = ['attention_dq', 'attention_dk', 'attention_dv'].map((op) => f.op(op, operands, rest));
    return [dq, dk, dv, ...(bias ? [biasGradient(f, inputs, attrs, out, dy)] : []), ...(mask ? [null] : [])];
  },
  cost: (inputs) => {
    const { batch, m, n, d, e } = attentionDims(inputs);
    const scores = sizeOf(batch) * m * n;
    // As many scalar operations per score as softmax counts, and two for scale and bias.
    return { macs: scores * (d + e), flops: 14 * scores };
  },
  sample: (random) => drawAttention(random),
  expand: (f, inputs, attrs, { dtype }) => {
    const [, , v] = inputs;
    return f.matmul(f.cast(weightsOf(f, inputs, attrs, dtype), v.type.dtype), v, dtype);
  },
  factors: 3,
  // The queries carry the axis in any case: a bias or a mask broadcasts to the scores, and does not widen them.
  many: (_original, [q, ...others], { apply, aligned, widened }) => apply([widened(q), ...others.map(aligned)]),
});
