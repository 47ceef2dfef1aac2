/** A Perceiver: Jaegle et al. 2021. A few latents read a long input by cross attention, and then one another. */
import {
  concat,
  defineModel,
  gelu,
  layerNorm,
  normal,
  ones,
  softmax,
  type Scope,
  type Tensor,
} from '../../../compiler/dsl/index.ts';

export const perceiverConfig = { inputs: 41, width: 24, latents: 6, registers: 2, d: 48, heads: 4, depth: 2 };

const norm = (p: Scope, x: Tensor) => {
  const d = x.shape[x.rank - 1];
  return layerNorm(x)
    .mul(p.param('weight', [d], ones))
    .add(p.param('bias', [d]));
};

function attend(p: Scope, x: Tensor, from: Tensor, heads: number): Tensor {
  const [N, T, d] = x.shape;
  const split = (y: Tensor) => y.reshape(N, y.shape[1], heads, d / heads).transpose(1, 2);
  const [q, k, v] = [p.linear('q', x, d), p.linear('k', from, d), p.linear('v', from, d)].map(split);
  const mixed = softmax(q.matmul(k.transpose()).mul((d / heads) ** -0.5)).matmul(v);
  return p.linear('out', mixed.transpose(1, 2).reshape(N, T, d), d);
}

const mlp = (p: Scope, x: Tensor) =>
  p.linear('fc2', gelu(p.linear('fc1', norm(p.at('norm'), x), 4 * x.shape[2])), x.shape[2]);

export const perceiver = (config: Partial<typeof perceiverConfig> = {}) => {
  const cfg = { ...perceiverConfig, ...config };
  return defineModel({
    config: cfg,
    entries: {
      forward(e) {
        const given = e.input('x', [e.batch, cfg.inputs, cfg.width]);
        const latents = e.params.param('latents', [cfg.latents, cfg.d], normal(0.02));
        const registers = e.params.param('registers', [cfg.registers, cfg.d], normal(0.02));
        const all = concat([registers, latents], 0);
        let x = all.broadcastTo(e.batch, ...all.shape);
        for (let i = 0; i < cfg.depth; i++) {
          const p = e.params.at('blocks', i);
          x = x.add(attend(p.at('cross'), norm(p.at('norm_q'), x), norm(p.at('norm_kv'), given), cfg.heads));
          x = x.add(mlp(p.at('mlp1'), x));
          const inner = norm(p.at('norm_self'), x);
          x = x.add(attend(p.at('self'), inner, inner, cfg.heads));
          x = x.add(mlp(p.at('mlp2'), x));
        }
        return { y: x.slice(1, cfg.registers) };
      },
    },
  });
};
