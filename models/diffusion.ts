/**
 * Sampling as graphs: one call of `sampleStep` is one whole reverse step on the device, model and guidance included. The
 * formulas are reverse.ts's, the samplers samplers.ts's.
 */
import {
  concat,
  constant,
  iota,
  randomNormal,
  type Entry,
  type EntryFunction,
  type EntryOptions,
  type Scope,
  type Tensor,
} from '../compiler/dsl/index.ts';
import { misconfigured, oneOf, realNumber, wholeNumber } from './config.ts';
import { guide, lookUp, reverseColumns, splitPrediction, type Prediction } from './reverse.ts';
import { samplers, SAMPLERS } from './samplers.ts';
import { processOf, SCHEDULES, TRAIN_STEPS, type Process, type Schedule } from './schedule.ts';

export * from './reverse.ts';
export * from './samplers.ts';

/** Options of the sampling entries. */
export interface SamplingOptions {
  /** How many of the 1000 steps to take, or a respacing ("ddim50", "10,15,20"): see spaceTimesteps. */
  readonly steps: number | string;
  readonly sampler: (typeof SAMPLERS)[number];
  /** DDIM's η: 0 adds no noise. */
  readonly eta: number;
  /** Guidance: 1 builds a step without it. Any other value builds it in, and the input `cfgScale` sets its strength. */
  readonly cfg: number;
  /**
   * Which channels of ε are guided: the first so many (the released code guides 3 of 4), or `all`. 4 means all of them too,
   * however many there are.
   */
  readonly cfgChannels: number | 'all';
  /**
   * Where guidance acts, as shares of the process: [0, 1] is everywhere, [0.1, 0.8] neither in the last tenth nor while all is noise.
   * Kynkäänniemi et al. 2024.
   */
  readonly cfgInterval: readonly [from: number, to: number];
  readonly schedule: Schedule;
  /** Whether x̂₀ is limited to [−1,1]: for pixels; latents have no such range. */
  readonly clip: boolean;
}

export const samplingDefaults: SamplingOptions = {
  steps: 250,
  sampler: 'ddpm',
  eta: 0,
  cfg: 4,
  cfgChannels: 3,
  cfgInterval: [0, 1],
  schedule: 'linear',
  clip: false,
};

/** The options of an entry, checked. @throws DitcError `config`. */
function samplingOptions(given: EntryOptions, nullClass?: number): SamplingOptions {
  const read = <K extends keyof SamplingOptions>(key: K): unknown => given[key] ?? samplingDefaults[key];
  const options: SamplingOptions = {
    steps: read('steps') as number | string,
    sampler: oneOf('sampler', read('sampler'), SAMPLERS),
    eta: realNumber('eta', read('eta'), 0, 1),
    cfg: realNumber('cfg', read('cfg')),
    cfgChannels: guidedChannels(read('cfgChannels')),
    cfgInterval: interval('cfgInterval', read('cfgInterval')),
    schedule: oneOf('schedule', read('schedule'), SCHEDULES),
    clip: oneOf('clip', read('clip'), [true, false]),
  };
  if (options.cfg !== 1 && nullClass === undefined) {
    const fix = 'sample with cfg 1, or train with classDropoutProb above 0';
    throw misconfigured(`cfg is ${options.cfg}`, 'the model has no null class to guide away from', fix);
  }
  return options;
}

function guidedChannels(given: unknown): number | 'all' {
  return given === 'all' || given === 4 ? 'all' : wholeNumber('cfgChannels', given);
}

/** Two shares, in order. */
function interval(name: string, given: unknown): [number, number] {
  const [from, to] = Array.isArray(given) && given.length === 2 ? (given as unknown[]) : [];
  if (Number(from) >= 0 && Number(from) <= Number(to) && Number(to) <= 1) return [Number(from), Number(to)];
  throw misconfigured(`${name} is ${JSON.stringify(given)}`, undefined, 'give two numbers in order, from 0 to 1');
}

/** A model as the sampler sees it. */
export interface Denoiser {
  /** C and I. */
  readonly channels: number;
  readonly size: number;
  /** How many classes there are; unset, all rows of the table that labels choose from. */
  readonly classes?: number;
  /** The label of "no class"; guidance needs it, and nobody gives it. */
  readonly nullClass?: number;
  /** x [M,C,I,I], t [M] f32 (timestep of the full process), y [M] i32 → [M,C or 2C,I,I]: ε, then v if learned. */
  predict(p: Scope, x: Tensor, t: Tensor, y: Tensor): Tensor;
}

/** Stands for the step in the random numbers of the first x: no process is so long. */
const START = 0xffffffff;

/** N(0,1) of a shape, from the 64-bit seed, each element's place in its image, the image's index, and the step. */
function imageNoise(e: Entry, shape: number[], step: Tensor): Tensor {
  const [N, ...image] = shape;
  const [low, high] = e.input('seed', [2], 'u32').unstack();
  const element = iota([image.reduce((a, b) => a * b)], 0, 'u32').reshape(1, ...image);
  const index = iota([N], 0, 'u32').add(e.input('first', [], 'u32'));
  return randomNormal({ key: [low, high], counter: [element, index.reshape(N, 1, 1, 1), step] });
}

/**
 * Sampling N images. `sampleStart` draws the first x and sets `step` to T'−1; each `sampleStep` takes x one step back.
 * After T' of them x is the sample. The signature is the same for all options.
 *
 * State: x [N,C,I,I], step i32[], and x0 [N,C,I,I] for a sampler that remembers it. Inputs: seed u32[2] (low word first), first u32[]
 * (index of the batch's first image: an image depends on its index, not on its batch); of `sampleStep` also y i32[N] and cfgScale
 * f32[] (see `cfg`).
 */
export function samplingEntries(model: Denoiser): Record<'sampleStart' | 'sampleStep', EntryFunction> {
  const { channels, size, nullClass } = model;
  const setUp = (e: Entry) => {
    const options = samplingOptions(e.options, nullClass);
    const process = processOf(options.schedule, options.steps);
    const image = [e.batch, channels, size, size];
    const sampler = samplers[options.sampler];
    const x = e.state('x', image);
    const before = sampler.remembers ? e.state('x0', image) : undefined;
    return { options, process, sampler, x, before, step: e.counter('step', process.length) };
  };
  return {
    sampleStart(e) {
      const { process, x, before, step } = setUp(e);
      e.update(x, imageNoise(e, x.shape, constant(START, [], 'u32')));
      if (before) e.update(before, constant(0, x.shape));
      e.update(step, constant(process.length - 1, [], 'i32'));
    },
    sampleStep(e) {
      const { options, process, sampler, x, before, step } = setUp(e);
      const y = e.input('y', [e.batch], 'i32', { classes: model.classes });
      const z = imageNoise(e, x.shape, step.cast('u32'));
      const scale = e.input('cfgScale', []);
      const k = lookUp({ ...reverseColumns(process, options.eta), guided: isGuided(process, options) }, step);
      const strength = everywhere(options) ? scale : scale.sub(1).mul(k.guided).add(1);
      const predict = guided(e, model, options, y, strength);
      const stepped = sampler.step({ k, x, z, predict, before, eta: options.eta, clip: options.clip });
      e.update(x, stepped.x);
      if (before) e.update(before, stepped.x0!);
      e.update(step, step.sub(1));
    },
  };
}

const everywhere = ({ cfgInterval: [from, to] }: SamplingOptions): boolean => from === 0 && to === 1;

/** 1 for each step in which guidance acts, 0 for the others. */
const isGuided = ({ timesteps }: Process, { cfgInterval: [from, to] }: SamplingOptions): number[] =>
  timesteps.map((t) => Number(t >= from * TRAIN_STEPS && t <= to * TRAIN_STEPS));

/** The model with guidance of the given strength, at any x [N,C,I,I] and timestep []. */
function guided(e: Entry, model: Denoiser, options: SamplingOptions, y: Tensor, strength: Tensor) {
  const { channels, nullClass } = model;
  const predict = (x: Tensor, timestep: Tensor, labels: Tensor) =>
    model.predict(e.params, x, timestep.broadcastTo(x.shape[0]), labels);
  return (x: Tensor, timestep: Tensor): Prediction => {
    if (options.cfg === 1) return splitPrediction(predict(x, timestep, y), channels);
    // Upstream keeps both halves of the batch alive; they never differ in x, so N states are enough.
    const both = predict(concat([x, x], 0), timestep, concat([y, constant(nullClass!, y.shape, 'i32')], 0));
    const [cond, unconditional] = both.split(2, 0).map((out) => splitPrediction(out, channels));
    const count = options.cfgChannels === 'all' ? channels : Math.min(options.cfgChannels, channels);
    return { eps: guide(cond.eps, unconditional.eps, strength, count), v: cond.v };
  };
}
