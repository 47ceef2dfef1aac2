/** ViT: Dosovitskiy et al. 2021. Pictures of any grid, a class token, pre-norm encoder blocks with an affine layer norm. */
import {
  concat,
  defineModel,
  geluExact,
  layerNorm,
  normal,
  ones,
  softmax,
  type Scope,
  type Tensor,
} from '../../../compiler/dsl/index.ts';

export const vitConfig = { height: 10, width: 14, patch: 2, d: 48, depth: 2, heads: 4, classes: 10 };
export type ViTConfig = typeof vitConfig;

export function affineNorm(p: Scope, x: Tensor): Tensor {
  const d = x.shape[x.rank - 1];
  return layerNorm(x, 1e-5)
    .mul(p.param('weight', [d], ones))
    .add(p.param('bias', [d]));
}

function attention(p: Scope, x: Tensor, heads: number): Tensor {
  const [N, T, d] = x.shape;
  const split = (name: string) =>
    p
      .linear(name, x, d)
      .reshape(N, T, heads, d / heads)
      .permute(0, 2, 1, 3);
  const q = split('query').div(Math.sqrt(d / heads));
  const scores = q.matmul(split('key').permute(0, 1, 3, 2));
  const mixed = softmax(scores).matmul(split('value'));
  return p.linear('out', mixed.permute(0, 2, 1, 3).reshape(N, T, d), d);
}

export function encoderBlock(p: Scope, x: Tensor, heads: number): Tensor {
  const d = x.shape[2];
  x = x.add(attention(p.at('attn'), affineNorm(p.at('norm1'), x), heads));
  return x.add(p.linear('mlp.2', geluExact(p.linear('mlp.0', affineNorm(p.at('norm2'), x), 4 * d)), d));
}

/** x [N,3,H,W] → patches [N, HW/p², 3p²]. */
function patches(x: Tensor, size: number): Tensor {
  const [N, C, H, W] = x.shape;
  const grid = x.reshape(N, C, H / size, size, W / size, size).permute(0, 2, 4, 3, 5, 1);
  return grid.reshape(N, (H * W) / size ** 2, size ** 2 * C);
}

export const vit = (config: Partial<ViTConfig> = {}) => {
  const cfg = { ...vitConfig, ...config };
  return defineModel({
    config: cfg,
    entries: {
      forward(e) {
        const p = e.params;
        const image = e.input('image', [e.batch, 3, cfg.height, cfg.width]);
        const tokens = p.linear('embed', patches(image, cfg.patch), cfg.d);
        const token = p.param('class', [1, 1, cfg.d], normal(0.02)).broadcastTo(e.batch, 1, cfg.d);
        let x = concat([token, tokens], 1);
        x = x.add(p.param('positions', [1, x.shape[1], cfg.d], normal(0.02)));
        for (let i = 0; i < cfg.depth; i++) x = encoderBlock(p.at('blocks', i), x, cfg.heads);
        const pooled = affineNorm(p.at('norm'), x.slice(1, 0, 1).squeeze(1));
        return { logits: p.linear('head', pooled, cfg.classes) };
      },
    },
  });
};
