/** From pictures to the noise that a model makes them of, for `ditc invert`. */
import { signatureOf, loadModel } from '../model.ts';
import type { Model } from '../../compiler/dsl/model.ts';
import type { Precision } from '../../compiler/pipeline.ts';
import { DitcError } from '../../compiler/ir/error.ts';
import { writeValues, type Dataset } from '../../runtime/data/dataset.ts';
import type { ImageShape } from '../../runtime/data/fit.ts';
import { INVERSION_ENTRIES, invertPictures } from '../../runtime/invert.ts';
import { openData } from '../../runtime/node/data/open.ts';
import { sampleShape } from '../../runtime/sample.ts';
import { allFinite } from '../../runtime/values.ts';
import { checkClasses, classesOf, writtenClasses } from '../classes.ts';
import { UsageError } from '../errors.ts';
import { RANDOM_WEIGHTS, startProgram, withDevice, withWeights, type ProgramSetup } from '../gpu.ts';
import { writeNpy } from '../npy.ts';
import { checkOutputFile } from '../out-path.ts';
import { startProgress } from '../progress.ts';
import { compileSampler } from '../sampler-batch.ts';
import type { Terminal } from '../terminal.ts';
import { plural } from '../text.ts';
import { readConditions } from './conditions.ts';
import { settingsOf, type Settings } from './settings.ts';

export interface InvertRequest extends Settings, Pick<ProgramSetup, 'part' | 'onMismatch'> {
  readonly data: string;
  readonly classes?: readonly number[];
  /** Files of what the model is told besides, by the input's name. */
  readonly inputs: ReadonlyMap<string, string>;
  readonly weights?: string;
  readonly batch?: number;
  readonly dtype?: Precision;
  readonly tuning?: string;
  /** A `.npy` file. */
  readonly out: string;
}

export async function invert(path: string, request: InvertRequest, terminal: Terminal) {
  if (!/\.npy$/i.test(request.out)) {
    const why = 'noise is no picture';
    throw new UsageError({ what: `--out is ${request.out}`, why, fix: 'give FILE.npy' });
  }
  checkOutputFile(request.out);
  const loaded = loadModel(path, terminal);
  const { model, name, source } = loaded;
  checkInvertible(Object.keys(model.entries), source);
  // Guided, pictures come of what is less like noise.
  const sampler = invertible(model, request.sampler);
  const settings = settingsOf(name, model, { ...request, sampler, cfg: request.cfg ?? 1 });
  const { inputs, states } = signatureOf(loaded, 'invertStep', { ...settings, batch: 1 });
  const [, ...shape] = sampleShape(states);
  const known = classesOf(
    model,
    inputs.find(({ name }) => name === 'y'),
  );
  const data = await openData(request.data, { shape: shape as unknown as ImageShape });
  try {
    for (const note of data.notes) terminal.err(`note: ${note}`);
    const classes = classesGiven(request.classes, data, known);
    checkClasses(classes, known, name);
    const given = await readConditions(inputs, request.inputs, data.count);
    const { weights: file, part, onMismatch } = request;
    return await withWeights({ path: file, part }, (weights) =>
      withDevice(async (open) => {
        const compiled = { ...request, entries: INVERSION_ENTRIES, terminal };
        const artefact = compileSampler(loaded, open.spec, settings, data.count, compiled);
        if (!weights) terminal.err(`note: ${RANDOM_WEIGHTS}`);
        const setup = { artefact, entries: INVERSION_ENTRIES, weights, seed: 0, part, onMismatch };
        const program = await startProgram(open, setup, terminal);
        const bar = startProgress(terminal, 'inverting', 1, 'steps');
        try {
          const pictures = picturesOf(data);
          const onStep = (done: number, total: number) => bar.update(done, total);
          const noise = new Float32Array(data.count * sizeOf(shape));
          const job = { classes, cfg: Number(settings.cfg), given, pictures, onStep };
          for await (const { first, values } of invertPictures(program, job)) noise.set(values, first * sizeOf(shape));
          checkFinite(noise, data, shape);
          await writeNpy(request.out, { name: 'noise', dtype: 'f32', shape: [data.count, ...shape] }, noise);
          const steps = artefact.manifest.states.find(({ name }) => name === 'step')!.count!;
          const { name: adapter } = open.spec;
          return { pictures: data.count, steps, settings, classes: writtenClasses(classes), adapter };
        } finally {
          bar.stop();
          program.close();
        }
      }),
    );
  } finally {
    await data.close();
  }
}

const sizeOf = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

function checkInvertible(entries: readonly string[], where: string): void {
  const missing = INVERSION_ENTRIES.filter((name) => !entries.includes(name));
  if (!missing.length) return;
  const fix = 'make the model with dit({ … }), or add inversionEntries of ditc/models/inversion to its entries';
  throw new DitcError({ code: 'entry', where, what: `it has no entry ${missing.join(' and ')}`, fix });
}

/** The sampler whose way is gone backwards: as asked, or the model's own, or else the first that has such a way. */
function invertible({ options, choices }: Model, asked: Settings['sampler']): Settings['sampler'] {
  const known = choices?.inverter;
  const sampler = asked ?? options?.sampler;
  if (!known || asked === true || known.includes(String(sampler))) return asked;
  if (asked === undefined) return known[0];
  const [what, why] = [
    `--sampler: ${asked} has no way from a picture to noise`,
    'there is no such sampler, or it draws noise on the way',
  ];
  throw new UsageError({ what, why, fix: known.length ? `use ${known.join(' or ')}` : 'the model has none that does' });
}

/** The class of each picture: as told, or as the data has it. */
function classesGiven(given: readonly number[] | undefined, data: Dataset, known = 1): readonly number[] {
  const { count } = data;
  if (!given) {
    if (data.classes.length > 1 || known === 1) return [...data.labels];
    const why = `${data.name} has one class alone, and the model ${known}`;
    throw new UsageError({ what: 'what is on the pictures is missing', why, fix: `give --classes 0x${count}` });
  }
  if (given.length === count) return given;
  const why = `${data.name} has ${plural(count, 'picture')}`;
  throw new UsageError({ what: `--classes has ${given.length}`, why, fix: 'give a class for each picture' });
}

/** The values of some pictures, one after the other. */
const picturesOf = (data: Dataset) => async (first: number, count: number) => {
  const size = sizeOf(data.shape);
  const values = new Float32Array(count * size);
  for (let i = 0; i < count; i++) writeValues(values, i * size, await data.read(first + i, false));
  return values;
};

function checkFinite(noise: Float32Array, data: Dataset, shape: readonly number[]): void {
  const wrong = Array.from({ length: data.count }, (_, i) => i).find(
    (i) => !allFinite(noise.subarray(i * sizeOf(shape), (i + 1) * sizeOf(shape))),
  );
  if (wrong === undefined) return;
  const [what, why] = ['its noise is not finite', 'the model overflowed'];
  const fix = 'check the weights; ditc doctor tests whether the adapter computes right';
  throw new DitcError({ code: 'not-finite', where: data.nameOf(wrong), what, why, fix });
}
