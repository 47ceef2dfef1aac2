/** The joint block of Stable Diffusion 3: Esser et al. 2024. Two streams, each with its weights, attend to both. */
import {
  concat,
  defineModel,
  gelu,
  layerNorm,
  ones,
  rmsNorm,
  silu,
  softmax,
  zeros,
  type Scope,
  type Tensor,
} from '../../../compiler/dsl/index.ts';

export const mmditConfig = { tokens: 15, words: 7, d: 48, heads: 4, depth: 2 };

const modulate = (x: Tensor, shift: Tensor, scale: Tensor) => layerNorm(x).mul(scale.add(1)).add(shift);

/** One stream's part before and after the shared attention. */
function stream(p: Scope, x: Tensor, c: Tensor, heads: number) {
  const [N, T, d] = x.shape;
  const parts = p
    .linear('adaLN', silu(c), 6 * d, { init: zeros })
    .unsqueeze(1)
    .split(6);
  const [shiftA, scaleA, gateA, shiftM, scaleM, gateM] = parts;
  const qkv = p.linear('qkv', modulate(x, shiftA, scaleA), 3 * d).reshape(N, T, 3, heads, d / heads);
  const [q, k, v] = qkv.permute(2, 0, 3, 1, 4).unstack();
  const norm = (name: string, y: Tensor) => rmsNorm(y).mul(p.param(name, [d / heads], ones));
  const finish = (attended: Tensor) => {
    const y = x.add(gateA.mul(p.linear('proj', attended, d)));
    return y.add(gateM.mul(p.linear('fc2', gelu(p.linear('fc1', modulate(y, shiftM, scaleM), 4 * d)), d)));
  };
  return { q: norm('q_norm', q), k: norm('k_norm', k), v, finish };
}

export function jointBlock(p: Scope, x: Tensor, words: Tensor, c: Tensor, heads: number): [Tensor, Tensor] {
  const [N, T, d] = x.shape;
  const S = words.shape[1];
  const [a, b] = [stream(p.at('x'), x, c, heads), stream(p.at('context'), words, c, heads)];
  const [q, k, v] = (['q', 'k', 'v'] as const).map((name) => concat([b[name], a[name]], 2));
  const mixed = softmax(q.matmul(k.transpose()).mul((d / heads) ** -0.5)).matmul(v);
  const joined = mixed.transpose(1, 2).reshape(N, S + T, d);
  return [a.finish(joined.slice(1, S)), b.finish(joined.slice(1, 0, S))];
}

export const mmdit = (config: Partial<typeof mmditConfig> = {}) => {
  const cfg = { ...mmditConfig, ...config };
  return defineModel({
    config: cfg,
    entries: {
      forward(e) {
        let x = e.input('x', [e.batch, cfg.tokens, cfg.d]);
        let words = e.input('words', [e.batch, cfg.words, cfg.d]);
        const c = e.input('c', [e.batch, cfg.d]);
        for (let i = 0; i < cfg.depth; i++) [x, words] = jointBlock(e.params.at('blocks', i), x, words, c, cfg.heads);
        return { x, words };
      },
    },
  });
};
