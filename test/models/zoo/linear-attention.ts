/** Linear attention: Katharopoulos et al. 2020. φ(q)·(φ(k)ᵀ·v), over the sum of the weights; φ = elu + 1. */
import { defineModel, exp, layerNorm, where, type Tensor } from '../../../compiler/dsl/index.ts';

export const linearAttentionConfig = { tokens: 37, d: 36, heads: 3 };

const phi = (x: Tensor) => where(x.gt(0), x.add(1), exp(x.minimum(0)));

export const linearAttention = (config: Partial<typeof linearAttentionConfig> = {}) => {
  const cfg = { ...linearAttentionConfig, ...config };
  return defineModel({
    config: cfg,
    entries: {
      forward(e) {
        const { tokens: T, d, heads } = cfg;
        const x = e.input('x', [e.batch, T, d]);
        const qkv = e.params.linear('qkv', layerNorm(x), 3 * d).reshape(e.batch, T, 3, heads, d / heads);
        const [q, k, v] = qkv.permute(2, 0, 3, 1, 4).unstack();
        const state = phi(k).transpose().matmul(v);
        const total = phi(q).matmul(phi(k).sum(2).unsqueeze(-1));
        const mixed = phi(q).matmul(state).div(total.add(1e-6));
        return { y: x.add(e.params.linear('proj', mixed.transpose(1, 2).reshape(e.batch, T, d), d)) };
      },
    },
  });
};
