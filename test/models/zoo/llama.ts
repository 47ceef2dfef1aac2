/**
 * LLaMA's block: Touvron et al. 2023; grouped queries of Ainslie et al. 2023, a mask added to the scores, or chosen by, and a cap on
 * the scores, of Gemma 2 (2024).
 */
import {
  defineModel,
  iota,
  normal,
  ones,
  rmsNorm,
  silu,
  softmax,
  tanh,
  where,
  type Scope,
  type Tensor,
} from '../../../compiler/dsl/index.ts';
import { rotary } from './gpt.ts';

export const llamaConfig = {
  vocabulary: 40,
  tokens: 19,
  d: 48,
  hidden: 80,
  depth: 2,
  heads: 6,
  groups: 2,
  repeat: true,
  /** Scores are bounded to ±cap, where it is not 0. */
  cap: 0,
  /** The mask chooses between a score and a number far below. */
  choice: false,
};

const norm = (p: Scope, x: Tensor) => rmsNorm(x, 1e-5).mul(p.param('weight', [x.shape[x.rank - 1]], ones));

/** One key and value for each group of heads: written out per head (`repeat`), or left to broadcasting. */
function attention(p: Scope, x: Tensor, cfg: typeof llamaConfig): Tensor {
  const [N, T, d] = x.shape;
  const { heads, groups } = cfg;
  const [hd, each] = [d / heads, heads / groups];
  const project = (name: string, n: number) =>
    p
      .linear(name, x, n * hd, { bias: false })
      .reshape(N, T, n, hd)
      .transpose(1, 2);
  const [q, k, v] = [rotary(project('wq', heads)), rotary(project('wk', groups)), project('wv', groups)];
  const isLater = iota([T, T], 0, 'i32').lt(iota([T, T], 1, 'i32'));
  const attend = (q: Tensor, k: Tensor, v: Tensor) => {
    const scaled = q.matmul(k.transpose()).mul(hd ** -0.5);
    const scores = cfg.cap ? tanh(scaled.div(cfg.cap)).mul(cfg.cap) : scaled;
    const masked = cfg.choice ? where(isLater, -1e9, scores) : scores.add(where(isLater, -1e9, 0));
    return softmax(masked).matmul(v);
  };
  const spread = (x: Tensor) => x.unsqueeze(2).broadcastTo(N, groups, each, T, hd).reshape(N, heads, T, hd);
  const mixed = cfg.repeat
    ? attend(q, spread(k), spread(v))
    : attend(q.reshape(N, groups, each, T, hd), k.unsqueeze(2), v.unsqueeze(2)).reshape(N, heads, T, hd);
  return p.linear('wo', mixed.transpose(1, 2).reshape(N, T, d), d, { bias: false });
}

function swiglu(p: Scope, x: Tensor, hidden: number): Tensor {
  const bias = false;
  const gated = silu(p.linear('w1', x, hidden, { bias })).mul(p.linear('w3', x, hidden, { bias }));
  return p.linear('w2', gated, x.shape[2], { bias });
}

export const llama = (config: Partial<typeof llamaConfig> = {}) => {
  const cfg = { ...llamaConfig, ...config };
  return defineModel({
    config: cfg,
    entries: {
      forward(e) {
        const p = e.params;
        const table = p.param('tok_embeddings.weight', [cfg.vocabulary, cfg.d], normal(1));
        let x = table.gather(e.input('ids', [e.batch, cfg.tokens], 'i32'));
        for (let i = 0; i < cfg.depth; i++) {
          const block = p.at('layers', i);
          x = x.add(attention(block.at('attention'), norm(block.at('attention_norm'), x), cfg));
          x = x.add(swiglu(block.at('feed_forward'), norm(block.at('ffn_norm'), x), cfg.hidden));
        }
        return { logits: p.linear('output', norm(p.at('norm'), x), cfg.vocabulary, { bias: false }) };
      },
    },
  });
};
