/** A causal language model: GPT-2's block (Radford et al. 2019) with rotary positions (Su et al. 2021), and its loss. */
import {
  concat,
  cos,
  defineModel,
  exp,
  gelu,
  iota,
  layerNorm,
  log,
  normal,
  sin,
  softmax,
  where,
  type Scope,
  type Tensor,
} from '../../../compiler/dsl/index.ts';

type Mask = 'where' | 'bias' | 'distance' | 'masked distance';

export const gptConfig = { vocabulary: 50, tokens: 21, d: 48, depth: 2, heads: 3, mask: 'where' as Mask };

/** Rotates pairs (i, i + hd/2) of each row by its position. x [N,h,T,hd]. */
export function rotary(x: Tensor): Tensor {
  const [, , T, hd] = x.shape;
  const half = hd / 2;
  const frequency = exp(iota([half]).mul(-Math.log(10000) / half));
  const angle = iota([T, 1]).mul(frequency);
  const [a, b] = x.split(2);
  const [c, s] = [cos(angle), sin(angle)];
  return concat([a.mul(c).sub(b.mul(s)), b.mul(c).add(a.mul(s))]);
}

/**
 * Scores of what lies ahead are −∞: written as a choice, or as a large negative bias. Or the distance, times a slope for each head,
 * is subtracted from them (ALiBi: Press et al. 2022), ahead as behind where there is no mask.
 */
function causal(scores: Tensor, kind: Mask): Tensor {
  const [heads, T, S] = scores.shape.slice(-3);
  if (kind.endsWith('distance')) {
    const apart = iota([T, 1]).sub(iota([1, S], 1));
    const slopes = exp(iota([heads, 1, 1]).add(1).mul(-Math.LN2));
    const nearer = scores.sub(apart.maximum(apart.neg()).mul(slopes));
    return kind === 'distance' ? nearer : causal(nearer, 'where');
  }
  const visible = iota([T, 1], 0, 'i32').ge(iota([1, S], 1, 'i32'));
  return kind === 'where' ? where(visible, scores, -Infinity) : scores.add(visible.cast('f32').sub(1).mul(1e9));
}

export function causalAttention(p: Scope, x: Tensor, heads: number, mask: Mask): Tensor {
  const [N, T, d] = x.shape;
  const qkv = p.linear('c_attn', x, 3 * d).reshape(N, T, 3, heads, d / heads);
  const [q, k, v] = qkv.permute(2, 0, 3, 1, 4).unstack();
  const scores = rotary(q)
    .matmul(rotary(k).transpose())
    .div(Math.sqrt(d / heads));
  const mixed = softmax(causal(scores, mask)).matmul(v);
  return p.linear('c_proj', mixed.transpose(1, 2).reshape(N, T, d), d);
}

export const gpt = (config: Partial<typeof gptConfig> = {}) => {
  const cfg = { ...gptConfig, ...config };
  const logits = (p: Scope, ids: Tensor) => {
    const table = p.param('wte', [cfg.vocabulary, cfg.d], normal(0.02));
    let x = table.gather(ids);
    for (let i = 0; i < cfg.depth; i++) {
      const block = p.at('h', i);
      x = x.add(causalAttention(block.at('attn'), layerNorm(x), cfg.heads, cfg.mask));
      x = x.add(block.linear('mlp.c_proj', gelu(block.linear('mlp.c_fc', layerNorm(x), 4 * cfg.d)), cfg.d));
    }
    return layerNorm(x).matmul(table.transpose());
  };
  return defineModel({
    config: cfg,
    entries: {
      forward(e) {
        return { logits: logits(e.params, e.input('ids', [e.batch, cfg.tokens], 'i32')) };
      },
      /** Mean −log p of the next token, by log-sum-exp. */
      loss(e) {
        const [ids, next] = ['ids', 'next'].map((name) => e.input(name, [e.batch, cfg.tokens], 'i32'));
        const z = logits(e.params, ids);
        const top = z.max(-1, { keepDims: true });
        const logZ = log(exp(z.sub(top)).sum(-1, { keepDims: true })).add(top);
        const hit = iota([1, 1, cfg.vocabulary], 2, 'i32').eq(next.unsqueeze(-1));
        const picked = where(hit, z.sub(logZ), 0).sum(-1);
        return { loss: picked.mean().neg() };
      },
    },
  });
};
