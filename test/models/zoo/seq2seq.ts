/** Cross-attention to a padded sequence: Vaswani et al. 2017, the decoder's second half. Keys past `length` are hidden. */
import { defineModel, iota, layerNorm, relu, softmax, where, type Tensor } from '../../../compiler/dsl/index.ts';

export const seq2seqConfig = { tokens: 11, context: 26, width: 20, d: 40, heads: 5 };

export const seq2seq = (config: Partial<typeof seq2seqConfig> = {}) => {
  const cfg = { ...seq2seqConfig, ...config };
  return defineModel({
    config: cfg,
    entries: {
      forward(e) {
        const { tokens: T, context: S, d, heads } = cfg;
        const N = e.batch;
        const p = e.params;
        const x = e.input('x', [N, T, d]);
        const memory = e.input('memory', [N, S, cfg.width]);
        const length = e.input('length', [N], 'i32');
        const split = (y: Tensor) => y.reshape(N, -1, heads, d / heads).transpose(1, 2);
        const [k, v] = p
          .linear('kv', memory, 2 * d)
          .split(2)
          .map(split);
        const q = split(p.linear('q', layerNorm(x), d));
        const padding = iota([1, S], 1, 'i32').ge(length.unsqueeze(-1)).reshape(N, 1, 1, S);
        const scores = where(padding, -1e9, q.matmul(k.transpose()).div(Math.sqrt(d / heads)));
        const mixed = softmax(scores).matmul(v).transpose(1, 2).reshape(N, T, d);
        const y = x.add(p.linear('out', mixed, d));
        return { y: y.add(p.linear('fc2', relu(p.linear('fc1', layerNorm(y), 3 * d)), d)) };
      },
    },
  });
};
