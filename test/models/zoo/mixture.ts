/**
 * A mixture of experts in place of a block's MLP: Shazeer et al. 2017, all experts computed and weighted by a softmax (Puigcerver et
 * al. 2024), or by the two best (`top`), as one batched product a layer.
 */
import {
  defineModel,
  gelu,
  layerNorm,
  normal,
  silu,
  softmax,
  where,
  type Scope,
  type Tensor,
} from '../../../compiler/dsl/index.ts';

export const mixtureConfig = { tokens: 20, d: 48, hidden: 64, experts: 4, depth: 2, top: false, gated: false };

/** The weights of the two best, the others 0. */
function best(weights: Tensor): Tensor {
  const first = weights.max(-1, { keepDims: true });
  const second = where(weights.ge(first), 0, weights).max(-1, { keepDims: true });
  const kept = where(weights.ge(second), weights, 0);
  return kept.div(kept.sum(-1, { keepDims: true }));
}

export function mixtureOfExperts(p: Scope, x: Tensor, cfg: typeof mixtureConfig): Tensor {
  const [N, T, d] = x.shape;
  const { experts: E, hidden: h } = cfg;
  const rows = x.reshape(N * T, d);
  const dense = softmax(p.linear('gate', rows, E, { bias: false }));
  const weights = cfg.top ? best(dense) : dense;
  const [w1, w2] = [p.param('w1', [E, d, h], normal(0.1)), p.param('w2', [E, h, d], normal(0.1))];
  if (cfg.gated) {
    const gate = silu(rows.matmul(p.param('w3', [E, d, h], normal(0.1))));
    const outer = gate.mul(rows.matmul(w1)).matmul(w2);
    return weights.transpose().unsqueeze(2).mul(outer).sum(0).reshape(N, T, d);
  }
  const inner = gelu(rows.matmul(w1).add(p.param('b1', [E, 1, h])));
  const outer = inner.matmul(w2).add(p.param('b2', [E, 1, d]));
  return outer.mul(weights.transpose().unsqueeze(2)).sum(0).reshape(N, T, d);
}

export const mixture = (config: Partial<typeof mixtureConfig> = {}) => {
  const cfg = { ...mixtureConfig, ...config };
  return defineModel({
    config: cfg,
    entries: {
      forward(e) {
        let x = e.input('x', [e.batch, cfg.tokens, cfg.d]);
        for (let i = 0; i < cfg.depth; i++) x = x.add(mixtureOfExperts(e.params.at('blocks', i), layerNorm(x), cfg));
        return { x };
      },
    },
  });
};
