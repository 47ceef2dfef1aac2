/**
 * One step of a sampler around a network that predicts velocities (Salimans & Ho 2022), guided, with the picture bounded by its own
 * largest value (dynamic thresholding, Saharia et al. 2022) and the guided prediction brought back to the scale of the other (Lin et al. 2024).
 */
import { concat, defineModel, layerNorm, silu, type Tensor } from '../../../compiler/dsl/index.ts';

export const thresholdingConfig = { size: 6, channels: 3, hidden: 32, rescale: 0.7 };

const deviation = (x: Tensor) => {
  const centred = x.sub(x.mean([1, 2, 3], { keepDims: true }));
  return centred.square().mean([1, 2, 3], { keepDims: true }).sqrt();
};

export const thresholding = (config: Partial<typeof thresholdingConfig> = {}) => {
  const cfg = { ...thresholdingConfig, ...config };
  const { size, channels: C } = cfg;
  return defineModel({
    config: cfg,
    entries: {
      forward(e) {
        const x = e.input('x', [e.batch, C, size, size]);
        const [scale, noise] = ['alpha', 'sigma'].map((name) => e.input(name, [e.batch, 1, 1, 1]).square().add(0.1));
        const [nextScale, nextNoise] = ['next_alpha', 'next_sigma'].map((name) => e.input(name, [e.batch, 1, 1, 1]));
        const rows = concat([x, x], 0).reshape(2 * e.batch, C * size * size);
        const hidden = silu(e.params.linear('fc1', layerNorm(rows), cfg.hidden));
        const [free, conditioned] = e.params
          .linear('fc2', hidden, C * size * size)
          .reshape(2 * e.batch, C, size, size)
          .split(2, 0);
        const guided = free.add(conditioned.sub(free).mul(3));
        const rescaled = guided.mul(deviation(conditioned).div(deviation(guided)));
        const v = rescaled.mul(cfg.rescale).add(guided.mul(1 - cfg.rescale));
        const picture = scale.mul(x).sub(noise.mul(v));
        const epsilon = scale.mul(v).add(noise.mul(x));
        const bound = picture.maximum(picture.neg()).max([1, 2, 3], { keepDims: true }).maximum(1);
        const held = picture.minimum(bound).maximum(bound.neg()).div(bound);
        return { x: nextScale.mul(held).add(nextNoise.mul(epsilon)) };
      },
    },
  });
};
