/**
 * Sampling as graphs: one call of `sampleStep` is one whole step back on the device, model and guidance included. What is stepped
 * through, and how, is the objective's: ddpm.ts or flow.ts.
 */
import {
  constant,
  iota,
  randomNormal,
  type Entry,
  type EntryFunction,
  type EntryOptions,
  type Tensor,
} from '../compiler/dsl/index.ts';
import { misconfigured, oneOf, realNumber, wholeNumber } from './config.ts';
import { ddpm, type DdpmOptions } from './ddpm.ts';
import { completeFlow, flow, type FlowConfig } from './flow.ts';
import { asked, conditionsOf, hasNothing, sidesOf, type Network } from './guidance.ts';
import type { Objective, WayBack } from './objective.ts';
import { chosenWay, oneWay } from './ways.ts';
import { lookUp } from './table.ts';

export * from './ddpm.ts';
export * from './flow.ts';
export * from './guidance.ts';
export * from './objective.ts';
export * from './reverse.ts';
export * from './samplers.ts';
export * from './table.ts';

/** Options of the sampling entries, besides those of the objective. */
export interface SamplingOptions extends Pick<DdpmOptions, 'schedule' | 'eta'> {
  /** How many steps to take; of DDPM's 1000 also a respacing ("ddim50", "10,15,20"): see spaceTimesteps. */
  readonly steps: number | string;
  /** One that the objective has: `ddpm`, `ddim`, `heun`, `dpm++`; by flow matching `euler`, `heun`, `euler-maruyama`. */
  readonly sampler: string;
  /** Guidance: 1 builds a step without it. Any other value builds it in, and the input `cfgScale` sets its strength. */
  readonly cfg: number;
  /**
   * Which channels are guided: the first so many (the released code guides 3 of 4), or `all`. 4 means all of them too,
   * however many there are.
   */
  readonly cfgChannels: number | 'all';
  /**
   * Where guidance acts, as shares of the process: [0, 1] is everywhere, [0.1, 0.8] neither in the last tenth nor while all is noise.
   * Kynkäänniemi et al. 2024.
   */
  readonly cfgInterval: readonly [from: number, to: number];
  /** Whether x̂₀ is limited to [−1,1]: for pixels; latents have no such range. */
  readonly clip: boolean;
  /** Instead of `steps`, the most that may be taken: how many there are is then an input of each run, `steps` i32[] from 1. */
  readonly mostSteps?: number;
  /** Whether a step gives x̂₀ too, the picture as it is expected there. */
  readonly preview?: boolean;
}

/** What sampling does unless told, whatever the objective. */
export const samplingDefaults = { cfg: 4, cfgChannels: 3, cfgInterval: [0, 1], clip: false } as const;

/** A model as the sampler sees it. */
export interface Denoiser extends Network {
  /** Given where it is one of flow matching; without, it predicts the noise of DDPM. */
  readonly flow?: Partial<FlowConfig>;
}

/** What a model is trained to predict: flow matching where it says so, else a DDPM's noise. */
export const objectiveOf = (model: Partial<Denoiser>): Objective =>
  model.flow ? flow(completeFlow(model.flow)) : ddpm;

/** The options of an entry, checked. @throws DitcError `config`. */
export function samplingOptions(given: EntryOptions, objective: Objective, model: Network) {
  const defaults = { ...samplingDefaults, ...objective.defaults };
  const read = (key: keyof typeof defaults): unknown => given[key] ?? defaults[key];
  const options = {
    steps: read('steps') as number | string,
    sampler: oneOf('sampler', read('sampler'), Object.keys(objective.samplers), `the model ${objective.told}`),
    cfg: realNumber('cfg', read('cfg'), 0),
    cfgChannels: guidedChannels(read('cfgChannels')),
    cfgInterval: interval('cfgInterval', read('cfgInterval')),
    clip: oneOf('clip', read('clip'), [true, false]),
  };
  if (options.cfg !== 1 && !hasNothing(model)) {
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

/** A step of a way: its table there, and the model as it is asked, guided where the options say so. */
export function askedAt(
  e: Entry,
  model: Denoiser,
  { columns, shares }: WayBack<string>,
  {
    y,
    step,
    options,
  }: { y: Tensor; step: Tensor; options: Pick<SamplingOptions, 'cfg' | 'cfgChannels' | 'cfgInterval'> },
) {
  const scale = e.input('cfgScale', []);
  const [from, to] = options.cfgInterval;
  const { guided, ...k } = lookUp({ ...columns, guided: shares.map((s) => Number(s >= from && s <= to)) }, step);
  const everywhere = from === 0 && to === 1;
  const strength = everywhere ? scale : scale.sub(1).mul(guided).add(1);
  const guidance = options.cfg === 1 ? undefined : { strength, channels: options.cfgChannels };
  return { k, predict: asked(model, e.params, y, conditionsOf(e, model), guidance) };
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
 * f32[] (see `cfg`), and the model's conditions. A model without classes takes y and does not read it. With `mostSteps` both take `steps`
 * i32[] as well.
 */
export function samplingEntries(model: Denoiser): Record<'sampleStart' | 'sampleStep', EntryFunction> {
  const { channels, size } = model;
  const objective = objectiveOf(model);
  const setUp = (e: Entry) => {
    const options = samplingOptions(e.options, objective, model);
    const back = (steps: number | string) => objective.wayBack(steps, e.options);
    const most = e.options.mostSteps;
    const way = most === undefined ? oneWay(back(options.steps)) : chosenWay(e, wholeNumber('mostSteps', most), back);
    const image = [e.batch, channels, ...sidesOf(size)];
    const sampler = objective.samplers[options.sampler];
    const x = e.state('x', image);
    const before = sampler.remembers ? e.state('x0', image) : undefined;
    return { options, way, sampler, x, before, step: e.counter('step', way.most) };
  };
  return {
    sampleStart(e) {
      const { way, x, before, step } = setUp(e);
      e.update(x, imageNoise(e, x.shape, constant(START, [], 'u32')));
      if (before) e.update(before, constant(0, x.shape));
      e.update(step, way.first());
    },
    sampleStep(e) {
      const { options, way, sampler, x, before, step } = setUp(e);
      const y = e.input('y', [e.batch], 'i32', { classes: model.classes });
      const z = imageNoise(e, x.shape, step.cast('u32'));
      const { k, predict } = askedAt(e, model, way.all, { y, step: way.placeOf(step), options });
      const stepped = sampler.step({ k, x, z, predict, before, eta: Number(e.options.eta ?? 0), clip: options.clip });
      e.update(x, stepped.x);
      if (before) e.update(before, stepped.x0);
      e.update(step, step.sub(1));
      if (e.options.preview) return { x0: stepped.x0 };
    },
  };
}
