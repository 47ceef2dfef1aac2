/** Training on half of the tokens, in random order, as MaskDiT does: Zheng et al. 2023. The decoder has a mask token for each of the others. */
import {
  constant,
  defineModel,
  gelu,
  iota,
  layerNorm,
  normal,
  scatterAdd,
  softmax,
  takeAlong,
  topK,
  where,
  type Scope,
  type Tensor,
} from '../../../compiler/dsl/index.ts';

export const maskedDitConfig = { tokens: 16, kept: 8, d: 24, heads: 2, channels: 12, depth: 1 };

function block(p: Scope, x: Tensor, heads: number): Tensor {
  const [N, T, d] = x.shape;
  const split = (y: Tensor) => y.reshape(N, T, heads, d / heads).transpose(1, 2);
  const [q, k, v] = p
    .linear('qkv', layerNorm(x), 3 * d)
    .split(3)
    .map(split);
  const mixed = softmax(q.mul((d / heads) ** -0.5).matmul(k.transpose())).matmul(v);
  x = x.add(p.linear('proj', mixed.transpose(1, 2).reshape(N, T, d), d));
  return x.add(p.linear('fc2', gelu(p.linear('fc1', layerNorm(x), 4 * d)), d));
}

export const maskedDit = (config: Partial<typeof maskedDitConfig> = {}) => {
  const cfg = { ...maskedDitConfig, ...config };
  const { tokens: T, kept, d, heads } = cfg;
  return defineModel({
    config: cfg,
    entries: {
      forward(e) {
        const p = e.params;
        const x = e.input('x', [e.batch, T, cfg.channels]);
        const [, order] = topK(e.input('noise', [e.batch, T]), T);
        const embedded = p.linear('embed', x, d).add(p.param('pos', [T, d], normal(0.5)));
        let h = takeAlong(embedded, order.slice(1, 0, kept).unsqueeze(2), 1);
        for (let i = 0; i < cfg.depth; i++) h = block(p.at('encoder', i), h, heads);
        h = p.linear('to_decoder', layerNorm(h), d);
        // Where each token is in the order.
        const place = scatterAdd(constant(0, [e.batch, T], 'i32'), order, iota([e.batch, T], 1, 'i32'));
        const back = takeAlong(h, place.unsqueeze(2), 1);
        const all = where(place.lt(kept).unsqueeze(2), back, p.param('mask_token', [d], normal(0.5)));
        const decoded = block(p.at('decoder'), all.add(p.param('decoder_pos', [T, d], normal(0.5))), heads);
        return { y: p.linear('head', layerNorm(decoded), cfg.channels) };
      },
    },
  });
};
