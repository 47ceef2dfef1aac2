/** A small DiT with weights, built for pages; and the same for Node. */
import { dit } from '../../models/dit.ts';
import { compileModel } from '../../compiler/compile.ts';
import { PORTABLE, type DeviceSpec } from '../../compiler/device.ts';
import type { Artefact } from '../../compiler/emit/artefact.ts';
import type { Precision } from '../../compiler/pipeline.ts';
import { givenTensors } from '../../runtime/checkpoint/given.ts';
import { recordOf } from '../../runtime/data/dataset.ts';
import { givenDataset } from '../../runtime/data/given.ts';
import type { ModelFile } from '../../runtime/web/model-file.ts';
import { webFiles, type WebFiles } from '../../library/web/build.ts';
import { withChoices } from '../../library/web/choices.ts';

const base = dit({
  ...{ inputSize: 8, patchSize: 4, inChannels: 1, hiddenSize: 16, depth: 1, numHeads: 2, numClasses: 3 },
  learnSigma: false,
  flow: { interpolant: 'linear', prediction: 'velocity', times: 'uniform' },
});
/** Two samplers are enough to choose from. */
export const network = {
  ...base,
  choices: { sampler: ['euler', 'heun'] },
  picture: { range: [-1, 1] as const },
  options: { ...base.options, steps: 4, cfg: 2, lr: 1e-3 },
};

export const BATCH = 4;
const choices = withChoices(network, BATCH, 8);
const ENTRIES = [...choices.entries, 'trainStart', 'trainStep'];
const later = choices.entries.slice(2);

export const compileFor = (device: DeviceSpec, dtype: Precision, entries: readonly string[] = ENTRIES): Artefact =>
  compileModel(choices.model, {
    name: 'small',
    source: 'small.ts',
    device,
    dtype,
    entries,
    entryOptions: { ...network.options, ...choices.options, batch: BATCH },
  });

export const portable = compileFor(PORTABLE, 'f32');

/** Every parameter, of a size that keeps activations near 1. */
export const weights: Record<string, Float32Array> = Object.fromEntries(
  portable.manifest.params.map(({ name, shape }, p) => {
    const length = shape.reduce((n, size) => n * size, 1);
    const scale = 0.8 / Math.sqrt(shape.at(-1) ?? 1);
    return [name, Float32Array.from({ length }, (_, i) => scale * Math.sin(1.7 * i + p))];
  }),
);

export const built = (dtype?: Precision): Promise<WebFiles<Uint8Array>> => builtWith((bytes) => bytes, dtype);

export const builtWith = <Kept>(keep: (bytes: Uint8Array) => Kept, dtype: Precision = 'f32'): Promise<WebFiles<Kept>> =>
  webFiles({
    ...{ name: 'small', dtype, compile: compileFor, later, samplers: choices.samplers, picture: network.picture },
    checkpoint: givenTensors(weights, portable.manifest.params),
    keep,
  });

/** Six examples, as a page is given them. */
export const data = {
  images: Uint8Array.from({ length: 6 * 64 }, (_, i) => (i * 29) % 256),
  labels: [0, 1, 2, 0, 1, 2],
};
export const SEED = 3;

/** The same with something to train. */
export function builtWithTrainer() {
  const examples = givenDataset(data, [1, 8, 8], { classes: 3 });
  const entries = ['trainStart', 'trainStep'];
  const compile = (device: DeviceSpec, dtype: Precision) => compileFor(device, dtype, entries);
  const settings = { batch: BATCH, seed: SEED, flip: false, val: 0, dtype: 'f32', options: { lr: 1e-3 } };
  const record = { format: 1, model: 'small', config: network.config, settings, data: recordOf(examples) } as const;
  return webFiles(
    {
      ...{ name: 'small', dtype: 'f32', later, samplers: choices.samplers, picture: network.picture },
      compile: (device, dtype) => compileFor(device, dtype, choices.entries),
      keep: (bytes: Uint8Array) => bytes,
      checkpoint: givenTensors(weights, portable.manifest.params),
    },
    { model: { name: 'small', dtype: 'f32', compile }, data: examples, record },
  );
}

/** The files with another model.json. */
export const withModel = (files: ReadonlyMap<string, string | Uint8Array>, model: ModelFile) =>
  new Map([...files, ['model.json', JSON.stringify(model)]]);
