/**
 * A model that trains, written without the library: a linear denoiser whose gradient is worked out by hand, with momentum
 * and a moving average. It stands for any model with the training entries, and a step of it costs next to nothing.
 */
import { writeFileSync } from 'node:fs';
import { writeSafetensors } from '../../runtime/checkpoint/safetensors-write.ts';

export const SIZE = 4;
export const CLASSES = 3;

export const LINEAR = `import { concat, constant, defineModel, iota, randomNormal, type Entry, type Scope, type Tensor } from 'ditc/dsl';
import { samplingEntries } from 'ditc/models/diffusion';

const [size, numClasses] = [${SIZE}, ${CLASSES}];
const D = size * size;
const parameters = (p: Scope) => ({
  weight: p.param('weight', [D, D]),
  classes: p.param('classes', [numClasses, D]),
});

/** ε̂ = W·x + b_y, of images as rows [N,D]. */
const predict = (p: Scope, x: Tensor, y: Tensor) => {
  const { weight, classes } = parameters(p);
  return x.matmul(weight.transpose()).add(classes.gather(y));
};

const option = (e: Entry, name: string, otherwise: number) => Number(e.options[name] ?? otherwise);

export default defineModel({
  config: { size, numClasses },
  options: { lr: 0.1, steps: 4, cfg: 1, sampler: 'ddim' },
  picture: { range: [-1, 1] },
  entries: {
    trainStart(e) {
      for (const [name, value] of Object.entries(parameters(e.params))) {
        e.update(e.state('ema.' + name, value.shape), value);
        e.update(e.state('optimizer.m.' + name, value.shape), constant(0, value.shape));
      }
      e.update(e.state('optimizer.step', [], 'i32'), constant(0, [], 'i32'));
    },
    trainStep(e) {
      const N = e.batch;
      const images = e.input('images', [N, 1, size, size]).reshape(N, D);
      const y = e.input('labels', [N], 'i32');
      const [low, high] = e.input('seed', [2], 'u32').unstack();
      const step = e.state('optimizer.step', [], 'i32');
      const noise = randomNormal({
        key: [low, high],
        counter: [iota([1, D], 1, 'u32'), iota([N, 1], 0, 'u32'), step.cast('u32')],
      });
      const x = images.mul(0.8).add(noise.mul(0.6));
      const error = predict(e.params, x, y).sub(noise);
      const perElement = error.mul(2 / (N * D));
      const oneHot = y.unsqueeze(0).eq(iota([numClasses, 1], 0, 'i32')).cast('f32');
      const { weight, classes } = parameters(e.params);
      const trained = [
        ['weight', weight, perElement.transpose().matmul(x)],
        ['classes', classes, oneHot.matmul(perElement)],
      ] as const;
      for (const [name, value, gradient] of trained) {
        const m = e.state('optimizer.m.' + name, value.shape);
        const moment = m.mul(option(e, 'beta1', 0.9)).add(gradient);
        const next = value.sub(moment.mul(option(e, 'lr', 0.1)));
        const ema = e.state('ema.' + name, value.shape);
        e.update(m, moment);
        e.update(value, next);
        e.update(ema, ema.add(next.sub(ema).mul(1 - option(e, 'ema', 0.9))));
      }
      e.update(step, step.add(1));
      return { loss: error.square().mean(), gradNorm: concat(trained.map(([, , g]) => g.reshape(-1)), 0).square().sum().sqrt() };
    },
    ...samplingEntries({
      channels: 1,
      size,
      predict: (p, x, t, y) => predict(p, x.reshape(x.shape[0], D), y).reshape(x.shape[0], 1, size, size),
    }),
  },
});
`;

/** Stripes: dark rows above, by class. 25 pictures, so that batches of 4 run across epochs. */
export async function writeStripes(
  path: string,
  count = 25,
  labelOf = (i: number) => i % CLASSES,
  size = SIZE,
): Promise<void> {
  const x = Uint8Array.from({ length: count * size * size }, (_, i) => {
    const [n, row] = [Math.floor(i / size ** 2), Math.floor(i / size) % size];
    return row <= labelOf(n) ? 40 + (n % 7) : 200 + (n % 5);
  });
  const y = Int32Array.from({ length: count }, (_, n) => labelOf(n));
  const parts: Uint8Array[] = [];
  await writeSafetensors(
    async (bytes) => void parts.push(bytes),
    [
      { name: 'x', dtype: 'u8', shape: [count, 1, size, size], chunks: () => [x] },
      { name: 'y', dtype: 'i32', shape: [count], chunks: () => [y] },
    ],
  );
  writeFileSync(path, Buffer.concat(parts));
}
