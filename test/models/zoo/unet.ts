/** The residual block and the attention of a diffusion U-Net: Ho et al. 2020, appendix B. */
import { defineModel, silu, softmax, type Scope, type Tensor } from '../../../compiler/dsl/index.ts';
import { conv, groupNorm } from './conv.ts';

export const unetConfig = { height: 9, width: 7, channels: 16, out: 24, time: 20, groups: 4 };

/** x [N,C,H,W], t [N,e] → [N,out,H,W]. */
export function residualBlock(p: Scope, x: Tensor, t: Tensor, out: number, groups: number): Tensor {
  const h = conv(p.at('conv1'), silu(groupNorm(p.at('norm1'), x, groups)), out, 3);
  const [N] = h.shape;
  const shifted = h.add(p.linear('time', silu(t), out).reshape(N, out, 1, 1));
  const y = conv(p.at('conv2'), silu(groupNorm(p.at('norm2'), shifted, groups)), out, 3);
  return y.add(conv(p.at('shortcut'), x, out, 1));
}

/** Of all places to all, x [N,C,H,W], with the channels first throughout. */
export function attentionBlock(p: Scope, x: Tensor, groups: number): Tensor {
  const [N, C, H, W] = x.shape;
  const [q, k, v] = conv(p.at('qkv'), groupNorm(p.at('norm'), x, groups), 3 * C, 1)
    .reshape(N, 3 * C, H * W)
    .split(3, 1);
  const weights = softmax(
    q
      .transpose()
      .matmul(k)
      .mul(C ** -0.5),
  );
  const mixed = v.matmul(weights.transpose()).reshape(N, C, H, W);
  return x.add(conv(p.at('proj'), mixed, C, 1));
}

export const unet = (config: Partial<typeof unetConfig> = {}) => {
  const cfg = { ...unetConfig, ...config };
  return defineModel({
    config: cfg,
    entries: {
      forward(e) {
        const x = e.input('x', [e.batch, cfg.channels, cfg.height, cfg.width]);
        const t = e.input('t', [e.batch, cfg.time]);
        return { y: residualBlock(e.params.at('block'), x, t, cfg.out, cfg.groups) };
      },

      attention(e) {
        const x = e.input('x', [e.batch, cfg.channels, cfg.height, cfg.width]);
        return { y: attentionBlock(e.params.at('attention'), x, cfg.groups) };
      },
    },
  });
};
