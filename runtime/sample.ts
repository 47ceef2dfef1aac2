/**
 * The sampling loop over a compiled model: batches of a list of classes, all reverse steps of each on the device. It knows
 * the two entries' signature (models/diffusion.ts) and nothing of the model.
 */
import type { InputSpec, TensorSpec } from '../compiler/emit/artefact.ts';
import { checkGiven, wantedOf, writeGiven, type Given } from './conditions.ts';
import { RuntimeError } from './error.ts';
import { checkCount, checkEntries, checkOptions, type OptionNames } from './needs.ts';
import type { Program } from './program.ts';
import type { Tensor } from './tensor.ts';
import { allFinite, checkRange } from './values.ts';

/** What a model must have to be sampled. */
export const SAMPLING_ENTRIES = ['sampleStart', 'sampleStep'] as const;

/** The entries that draw by a sampler; of the one that a model was built with, those of {@link SAMPLING_ENTRIES}. */
export function entriesOf(
  sampler: string | undefined,
  own: string | undefined,
): readonly [start: string, step: string] {
  if (sampler === undefined || sampler === own) return SAMPLING_ENTRIES;
  const suffix = sampler.replace(/\W/g, '_');
  return [`sampleStart_${suffix}`, `sampleStep_${suffix}`];
}

export interface SampleJob {
  /** Those of the model's own sampler unless told. */
  readonly entries?: readonly [start: string, step: string];
  /** How many steps, of a model that leaves it to the run. */
  readonly steps?: number;
  readonly classes: readonly number[];
  /** The place of the first picture, which its noise is drawn for; 0 unless told. */
  readonly first?: number;
  readonly seed: number;
  /** Strength of the guidance; without effect in a step built without it. */
  readonly cfg: number;
  /** Of what the model is told of each picture besides, the rows (conditions.ts). */
  readonly given?: Given;
  /** What each picture is drawn from, one after the other: instead of noise of the seed. */
  readonly noise?: Float32Array;
  /** Called after each step has been submitted. */
  readonly onStep?: (done: number, total: number, look?: Look) => void;
  /** Ends the sampling after the step under way, with the signal's reason. */
  readonly signal?: AbortSignal;
}

/**
 * What the step just queued expects the pictures to become, x̂₀ of those of its batch, `first` being the place of the first of them in the
 * list. Asked for within `onStep`; it is read while the steps after it run.
 */
export type Look = () => Promise<Tensor<'f32'> & { readonly first: number }>;

export interface Samples {
  /** Index of the first picture. */
  readonly first: number;
  /** [n, C, I, I] */
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

/** Throws unless the model can be sampled. */
export function checkSampler(entries: readonly string[], source: string): void {
  const missing = SAMPLING_ENTRIES.filter((name) => !entries.includes(name));
  if (!missing.length) return;
  const fix =
    'a model that draws is made with dit({ … }), or has samplingEntries of ditc/models/diffusion; ditc run runs the entries of any other';
  throw new RuntimeError({ code: 'entry', where: source, what: `it has no entry ${missing.join(' and ')}`, fix });
}

/** The shape [N,C,I,I] of the state that becomes the samples. */
export function sampleShape(states: readonly TensorSpec[]): readonly number[] {
  const x = states.find(({ name }) => name === 'x');
  if (x && x.shape.length === 4 && x.dtype === 'f32') return x.shape;
  const what = 'the sampling entries keep no state x f32[N,C,I,I]';
  throw new RuntimeError({ code: 'entry', what, fix: 'see samplingEntries in models/diffusion.ts' });
}

/**
 * Samples all classes, a batch at a time. A picture depends on the seed, its class and its place in the list alone: its noise is
 * drawn for that place. Between builds of other batches that holds to the last bit where they are `steady` (DeviceSpec), as those
 * of `ditc sample` are, or for a software device. Whole batches that are `done` are passed over.
 */
export async function* drawSamples(program: Program, job: SampleJob, done = 0): AsyncGenerator<Samples> {
  const { classes, first: start = 0, seed, cfg, given = {}, noise, onStep, signal } = job;
  const [startEntry, stepEntry] = job.entries ?? SAMPLING_ENTRIES;
  const inputs = loopInputs(program, stepEntry);
  checkGiven(inputs, given, classes.length);
  const [batch, ...image] = sampleShape(program.states);
  const size = image.reduce((a, b) => a * b);
  const batches = Math.ceil(classes.length / batch);
  program.write('seed', Uint32Array.of(seed, Math.floor(seed / 2 ** 32)));
  program.write('cfgScale', Float32Array.of(cfg));
  if (job.steps !== undefined) program.write('steps', Int32Array.of(job.steps));
  const shows = program.manifest.entries[stepEntry].outputs.some(({ name }) => name === 'x0');
  const begin = Math.ceil(done / batch);
  for (let b = begin; b < batches; b++) {
    const first = start + b * batch;
    const labels = classes.slice(b * batch, (b + 1) * batch);
    program.write('first', Uint32Array.of(first));
    writeLabels(program, labels, batch);
    writeGiven(program, inputs, given, b * batch);
    await program.run(startEntry);
    if (noise) {
      const x = new Float32Array(batch * size);
      x.set(noise.subarray(b * batch * size, (b * batch + labels.length) * size));
      program.writeState('x', x);
    }
    const [last] = await program.readState('step');
    const steps = last + 1;
    const look: Look = async () => {
      const x0 = (await program.readOutput(stepEntry, 'x0')) as Float32Array;
      const shape = [labels.length, ...image];
      return { first: b * batch, data: x0.subarray(0, labels.length * size), shape, dtype: 'f32' };
    };
    for (let i = 0; i < steps; i++) {
      signal?.throwIfAborted();
      await program.run(stepEntry);
      // Runs are queued ahead; the first one is waited for, so that the time it takes to compile kernels is told apart.
      if (b === begin && i === 0) await program.sync();
      onStep?.(b * steps + i + 1, batches * steps, shows ? look : undefined);
    }
    const values = (await program.readState('x')) as Float32Array;
    yield { first, shape: [labels.length, ...image], values: values.subarray(0, labels.length * size) };
  }
}

/** Sets the labels of a batch. The last is filled up with class 0; those pictures are dropped. */
export function writeLabels(program: Program, labels: readonly number[], batch: number): void {
  program.write(
    'y',
    Int32Array.from({ length: batch }, (_, i) => labels[i] ?? 0),
  );
}

/** Of the body of a loop, and of what is computed before it. */
export function loopInputs({ manifest: { entries } }: Program, step: string): InputSpec[] {
  const { prelude } = entries[step];
  return [step, prelude ?? []].flat().flatMap((name) => entries[name].inputs);
}

/** What is asked of a model that is built already. The samples come as f32 [n, C, H, W], one for each of `classes`. */
export interface SampleOptions {
  /** The class of each picture: whole numbers from 0 to one less than the model has classes. */
  readonly classes: ArrayLike<number>;
  /** Of what the model is told of pictures besides, by the input's name: a row for each picture, one after the other, or one for all. */
  readonly inputs?: Readonly<Record<string, ArrayLike<number>>>;
  /** What pictures are drawn from instead of noise of the seed, as `invertStep` finds it: f32 [n, C, H, W], one after the other. */
  readonly noise?: ArrayLike<number>;
  /** The same seed gives the same pictures; 0 unless told. */
  readonly seed?: number;
  /** Strength of classifier-free guidance; what the model was built with unless told. */
  readonly cfg?: number;
  /** Reverse steps, and the sampler; what the model was built with unless told. One built for others refuses them. */
  readonly steps?: number;
  readonly sampler?: string;
  /** Called after each step of each batch has been queued, with how many are; `look` reads x̂₀, where the model was built to give it. */
  readonly onStep?: SampleJob['onStep'];
  /** Ends it after the step under way: the promise is rejected with the signal's reason. */
  readonly signal?: AbortSignal;
}

const OPTIONS: OptionNames<SampleOptions> = {
  classes: true,
  inputs: true,
  noise: true,
  seed: true,
  cfg: true,
  steps: true,
  sampler: true,
  onStep: true,
  signal: true,
};

/** The job that a program can do. @throws RuntimeError `entry`, `mismatch`, `bad-argument`. */
export function sampleJob(program: Program, asked: SampleOptions): SampleJob {
  checkOptions('sample', asked, OPTIONS);
  const { model, options = {} } = program.manifest;
  const entries = entriesAsked(program, asked.sampler);
  checkEntries(program, entries);
  const inputs = loopInputs(program, entries[1]);
  const steps = stepsAsked(program, inputs, asked.steps);
  const { seed = 0, cfg = Number(options.cfg ?? 1), onStep, signal } = asked;
  const classes = Array.from(asked.classes ?? []);
  const argument = (what: string, fix: string) => new RuntimeError({ code: 'bad-argument', what, fix });
  if (!classes.length || !classes.every((label) => Number.isInteger(label) && label >= 0))
    throw argument('classes is not a list of classes', 'give whole numbers from 0, one for each picture');
  const labels = inputs.find(({ name, range }) => name === 'y' && range);
  if (labels) checkRange({ ...labels, name: 'classes', shape: [classes.length] }, classes, model);
  checkCount('seed', seed, 0);
  if (!(cfg >= 0 && cfg < Infinity)) throw argument(`cfg is ${cfg}`, 'give a number from 0; 1 is no guidance');
  const given = givenOf(inputs, asked.inputs ?? {});
  checkGiven(inputs, given, classes.length);
  const noise = asked.noise && Float32Array.from(asked.noise);
  const size = sampleShape(program.states)
    .slice(1)
    .reduce((a, b) => a * b);
  if (noise && (noise.length !== classes.length * size || !allFinite(noise)))
    throw argument('noise is none of the pictures', `give ${classes.length} times ${size} finite numbers`);
  return { entries, steps, classes, seed, cfg, given, noise, onStep, signal };
}

const otherBuild = (model: string, name: string, asked: unknown, built: string) =>
  new RuntimeError({
    code: 'mismatch',
    what: `${name} is ${String(asked)}`,
    why: `${model} was built with ${name} ${built}`,
    fix: `compile it with options { ${name}: … }`,
  });

/** The samplers that a program can draw by. */
export function samplersOf({ manifest: { entries, options = {}, samplers } }: Program): readonly string[] {
  const own = options.sampler === undefined ? [] : [String(options.sampler)];
  const others = (samplers ?? []).filter((name) => Object.hasOwn(entries, entriesOf(name, undefined)[1]));
  return [...new Set([...own, ...others])];
}

function entriesAsked(program: Program, sampler?: string): readonly [start: string, step: string] {
  const { model, options = {} } = program.manifest;
  const known = samplersOf(program);
  if (sampler !== undefined && known.length && !known.includes(sampler))
    throw otherBuild(model, 'sampler', sampler, known.join(', '));
  return entriesOf(sampler, options.sampler as string | undefined);
}

/** How many steps a run may be told to take, of a model that leaves it to the run. */
export function mostSteps(inputs: readonly InputSpec[]): number | undefined {
  const range = inputs.find(({ name, shape }) => name === 'steps' && !shape.length)?.range;
  return range && range[1] - 1;
}

/** The steps to tell a run; undefined where they are built in. */
function stepsAsked(program: Program, inputs: readonly InputSpec[], asked?: number): number | undefined {
  const { model, options = {} } = program.manifest;
  const most = mostSteps(inputs);
  if (most === undefined) {
    if (asked === undefined || options.steps === undefined || asked === options.steps) return undefined;
    throw otherBuild(model, 'steps', asked, String(options.steps));
  }
  const steps = asked ?? Math.min(most, Number(options.steps) || most);
  checkCount('steps', steps, 1);
  if (steps > most) throw otherBuild(model, 'steps', steps, `1 to ${most}`);
  return steps;
}

/** Arrays of numbers as values of the inputs' types. */
function givenOf(inputs: readonly InputSpec[], given: NonNullable<SampleOptions['inputs']>): Given {
  const whole = new Set(wantedOf(inputs).flatMap(({ name, dtype }) => (dtype === 'f32' ? [] : [name])));
  return Object.fromEntries(
    Object.entries(given).map(([name, values]) => [
      name,
      whole.has(name) ? Int32Array.from(values) : Float32Array.from(values),
    ]),
  );
}

/** All samples of a job in one array [n, C, I, I]: what is drawn stays, and another program draws the rest. */
export class AllSamples {
  readonly #job: SampleJob;
  readonly #size: number;
  readonly #all: Tensor<'f32'>;
  /** Pictures that are there. */
  done = 0;

  constructor(program: Program, job: SampleJob) {
    const [, ...image] = sampleShape(program.states);
    this.#job = job;
    this.#size = image.reduce((a, b) => a * b);
    const count = job.classes.length;
    this.#all = { data: new Float32Array(count * this.#size), shape: [count, ...image], dtype: 'f32' };
  }

  async draw(program: Program): Promise<Tensor<'f32'>> {
    for await (const { first, shape, values } of drawSamples(program, this.#job, this.done)) {
      this.#all.data.set(values, first * this.#size);
      this.done = first + shape[0];
    }
    return this.#all;
  }
}
