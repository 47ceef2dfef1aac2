/** The residual block of a diffusion U-Net: Ho et al. 2020, appendix B. */
import { defineModel, silu, type Scope, type Tensor } from '../../../compiler/dsl/index.ts';
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
    },
  });
};
