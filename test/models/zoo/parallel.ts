/**
 * Attention and MLP side by side (Wang & Komatsuzaki 2021, Dehghani et al. 2023) with long skips (Bao et al. 2023); attention may be
 * gated per head (Qiu et al. 2025), or its heads may talk before and after the softmax (Shazeer et al. 2020).
 */
import {
  concat,
  defineModel,
  gelu,
  layerNorm,
  normal,
  ones,
  sigmoid,
  softmax,
  type Scope,
  type Tensor,
} from '../../../compiler/dsl/index.ts';

export const parallelConfig = {
  tokens: 19,
  d: 48,
  heads: 4,
  depth: 2,
  kind: 'plain' as 'plain' | 'gated' | 'talking',
  skips: false,
};

const norm = (p: Scope, x: Tensor) => {
  const d = x.shape[x.rank - 1];
  return layerNorm(x)
    .mul(p.param('weight', [d], ones))
    .add(p.param('bias', [d]));
};

/** Heads mix: [N,h,T,S] by a matrix [h,h]. */
const talk = (p: Scope, name: string, s: Tensor): Tensor => {
  const [N, h, T, S] = s.shape;
  return p
    .param(name, [h, h], normal(0.5))
    .matmul(s.reshape(N, h, T * S))
    .reshape(N, h, T, S);
};

export function parallelBlock(p: Scope, x: Tensor, cfg: typeof parallelConfig): Tensor {
  const [N, T, d] = x.shape;
  const { heads, kind } = cfg;
  const inner = norm(p.at('norm'), x);
  const split = (name: string) =>
    p
      .linear(name, inner, d)
      .reshape(N, T, heads, d / heads)
      .transpose(1, 2);
  const [q, k, v] = ['q', 'k', 'v'].map(split);
  const scores = q.matmul(k.transpose()).mul((d / heads) ** -0.5);
  const weights = kind === 'talking' ? talk(p, 'after', softmax(talk(p, 'before', scores))) : softmax(scores);
  const mixed = weights.matmul(v).transpose(1, 2).reshape(N, T, d);
  const attended = kind === 'gated' ? mixed.mul(sigmoid(p.linear('gate', inner, d))) : mixed;
  const hidden = gelu(p.linear('fc1', inner, 4 * d));
  return x.add(p.linear('out', attended, d)).add(p.linear('fc2', hidden, d));
}

export const parallel = (config: Partial<typeof parallelConfig> = {}) => {
  const cfg = { ...parallelConfig, ...config };
  return defineModel({
    config: cfg,
    entries: {
      forward(e) {
        let x = e.input('x', [e.batch, cfg.tokens, cfg.d]);
        const block = (i: number, y: Tensor) => parallelBlock(e.params.at('blocks', i), y, cfg);
        const half = cfg.skips ? Math.floor(cfg.depth / 2) : 0;
        const kept: Tensor[] = [];
        for (let i = 0; i < cfg.depth; i++) {
          if (cfg.skips && i >= cfg.depth - half) x = e.params.linear(`skip${i}`, concat([x, kept.pop()!]), cfg.d);
          x = block(i, x);
          if (i < half) kept.push(x);
        }
        return { x };
      },
    },
  });
};
