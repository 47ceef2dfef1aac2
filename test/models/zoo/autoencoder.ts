/** A small convolutional autoencoder: two strided convolutions down, two upsamplings and convolutions back. */
import { defineModel, silu, sigmoid, type Tensor } from '../../../compiler/dsl/index.ts';
import { conv } from './conv.ts';

export const autoencoderConfig = { size: 12, channels: 3, hidden: 8, latent: 4 };

/** Each pixel four times: [N,C,H,W] → [N,C,2H,2W]. */
function upsample(x: Tensor): Tensor {
  const [N, C, H, W] = x.shape;
  return x
    .reshape(N, C, H, 1, W, 1)
    .broadcastTo(N, C, H, 2, W, 2)
    .reshape(N, C, 2 * H, 2 * W);
}

export const autoencoder = (config: Partial<typeof autoencoderConfig> = {}) => {
  const cfg = { ...autoencoderConfig, ...config };
  return defineModel({
    config: cfg,
    entries: {
      forward(e) {
        const p = e.params;
        const x = e.input('x', [e.batch, cfg.channels, cfg.size, cfg.size]);
        // Zeros only below and to the right, as the encoder of Stable Diffusion has them.
        const down = (name: string, y: Tensor, out: number) => conv(p.at(name), y, out, 3, { step: 2, pad: [0, 1] });
        const z = down('down2', silu(down('down1', x, cfg.hidden)), cfg.latent);
        const up = silu(conv(p.at('up1'), upsample(z), cfg.hidden, 3));
        return { z, y: sigmoid(conv(p.at('up2'), upsample(up), cfg.channels, 3)) };
      },
    },
  });
};
