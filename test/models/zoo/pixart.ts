/** PixArt-α's block: Chen et al. 2023. One modulation for all blocks plus a table in each, and cross-attention to text. */
import {
  defineModel,
  gelu,
  iota,
  layerNorm,
  normal,
  silu,
  softmax,
  where,
  type Scope,
  type Tensor,
} from '../../../compiler/dsl/index.ts';

export const pixartConfig = { tokens: 20, words: 9, d: 48, heads: 4, depth: 2 };

const attend = (q: Tensor, k: Tensor, v: Tensor, bias?: Tensor) => {
  const [N, h, T, hd] = q.shape;
  const scores = q.matmul(k.transpose()).mul(hd ** -0.5);
  const mixed = softmax(bias ? scores.add(bias) : scores).matmul(v);
  return mixed.transpose(1, 2).reshape(N, T, h * hd);
};

function block(p: Scope, x: Tensor, words: Tensor, bias: Tensor, t: Tensor, heads: number): Tensor {
  const [N, T, d] = x.shape;
  const split = (y: Tensor, parts: number) =>
    y
      .reshape(N, -1, parts, heads, d / heads)
      .permute(2, 0, 3, 1, 4)
      .unstack();
  const table = p.param('scale_shift_table', [6, d], normal(d ** -0.5));
  const [shiftA, scaleA, gateA, shiftM, scaleM, gateM] = t.reshape(N, 6, d).add(table).split(6, 1);
  const [q, k, v] = split(p.linear('attn.qkv', layerNorm(x).mul(scaleA.add(1)).add(shiftA), 3 * d), 3);
  x = x.add(gateA.mul(p.linear('attn.proj', attend(q, k, v), d)));
  const [cq] = split(p.linear('cross.q', x, d), 1);
  const [ck, cv] = split(p.linear('cross.kv', words, 2 * d), 2);
  x = x.add(p.linear('cross.proj', attend(cq, ck, cv, bias), d));
  const mixed = p.linear('mlp.fc2', gelu(p.linear('mlp.fc1', layerNorm(x).mul(scaleM.add(1)).add(shiftM), 4 * d)), d);
  return x.add(gateM.mul(mixed)).reshape(N, T, d);
}

export const pixart = (config: Partial<typeof pixartConfig> = {}) => {
  const cfg = { ...pixartConfig, ...config };
  return defineModel({
    config: cfg,
    entries: {
      forward(e) {
        const { tokens, words: S, d, heads } = cfg;
        let x = e.input('x', [e.batch, tokens, d]);
        const words = e.input('words', [e.batch, S, d]);
        const length = e.input('length', [e.batch], 'i32');
        const hidden = iota([1, S], 1, 'i32').ge(length.unsqueeze(1));
        const bias = where(hidden, -10000, 0).reshape(e.batch, 1, 1, S);
        const t = e.params.linear('t_block.1', silu(e.input('t', [e.batch, d])), 6 * d);
        for (let i = 0; i < cfg.depth; i++) x = block(e.params.at('blocks', i), x, words, bias, t, heads);
        return { x };
      },
    },
  });
};
