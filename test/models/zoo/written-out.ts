/** A transformer block (Vaswani et al. 2017) by someone who writes softmax and norms out, in the ways that people do. */
import { defineModel, exp, gelu, log, ones, sqrt, type Scope, type Tensor } from '../../../compiler/dsl/index.ts';

/** exp(s)/sum with the maximum subtracted before, or not; divided after the product; exp(s − log(sum)), with and without a maximum. */
export const WAYS = ['stable', 'plain', 'late', 'logarithm', 'steady logarithm'] as const;
type Way = (typeof WAYS)[number];

export const writtenOutConfig = { tokens: 17, d: 48, heads: 3, depth: 2, way: 'stable' as Way };

const keepDims = { keepDims: true };

function attend(s: Tensor, v: Tensor, way: Way): Tensor {
  const top = s.max(-1, keepDims);
  const e = exp(way === 'plain' ? s : s.sub(top));
  const sum = e.sum(-1, keepDims);
  if (way === 'logarithm') return exp(s.sub(log(exp(s).sum(-1, keepDims)))).matmul(v);
  if (way === 'steady logarithm') return exp(s.sub(log(sum).add(top))).matmul(v);
  return way === 'late' ? e.matmul(v).div(sum) : e.div(sum).matmul(v);
}

function norm(p: Scope, x: Tensor, way: Way): Tensor {
  const d = x.shape[x.rank - 1];
  const mean = way === 'plain' ? x.sum(-1, keepDims).div(d) : x.mean(-1, keepDims);
  const centred = x.sub(mean);
  const variance = centred.pow(2).mean(-1, keepDims);
  const unit = way === 'stable' ? centred.div(sqrt(variance.add(1e-5))) : centred.mul(variance.add(1e-5).rsqrt());
  return unit.mul(p.param('weight', [d], ones)).add(p.param('bias', [d]));
}

export function writtenOutBlock(p: Scope, x: Tensor, cfg: typeof writtenOutConfig): Tensor {
  const [N, T, d] = x.shape;
  const { heads, way } = cfg;
  const inner = norm(p.at('norm1'), x, way);
  const project = (name: string) =>
    p
      .linear(name, inner, d)
      .reshape(N, T, heads, d / heads)
      .transpose(1, 2);
  const [q, k, v] = ['q', 'k', 'v'].map(project);
  const scores = q.matmul(k.transpose()).div(Math.sqrt(d / heads));
  const mixed = attend(scores, v, way).transpose(1, 2).reshape(N, T, d);
  const y = x.add(p.linear('out', mixed, d));
  return y.add(p.linear('fc2', gelu(p.linear('fc1', norm(p.at('norm2'), y, way), 4 * d)), d));
}

export const writtenOut = (config: Partial<typeof writtenOutConfig> = {}) => {
  const cfg = { ...writtenOutConfig, ...config };
  return defineModel({
    config: cfg,
    entries: {
      forward(e) {
        let x = e.input('x', [e.batch, cfg.tokens, cfg.d]);
        for (let i = 0; i < cfg.depth; i++) x = writtenOutBlock(e.params.at('blocks', i), x, cfg);
        return { x };
      },
    },
  });
};
