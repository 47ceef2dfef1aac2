/**
 * The diffusion process on tensors: predictions, posteriors, guidance, and sampling as graphs. One call of `sampleStep`
 * is one whole reverse step on the device: model, guidance, posterior mean, variance and noise.
 *
 * Sources: Ho et al. 2020 (DDPM), Song et al. 2021 (DDIM), Nichol & Dhariwal 2021 (learned range), Ho & Salimans 2022
 * (classifier-free guidance). Constants are computed in float64 by schedule.ts and enter the graph as one table.
 *
 * Pictures and latents are [N,C,I,I]; a coefficient is a scalar, or [N,1,1,1] where each image has its own timestep.
 */
import {
  concat,
  constant,
  iota,
  randomNormal,
  where,
  type Entry,
  type EntryFunction,
  type EntryOptions,
  type Operand,
  type Scope,
  type Tensor,
} from '../compiler/dsl/index.ts';
import { misconfigured, oneOf, realNumber } from './config.ts';
import { processOf, SCHEDULES, type Process, type Schedule } from './schedule.ts';

/** Columns of one table, read at a step: every column's entry, of index's shape. */
export function lookUp<K extends string>(columns: Record<K, ArrayLike<number>>, index: Tensor): Record<K, Tensor> {
  const names = Object.keys(columns) as K[];
  const steps = columns[names[0]].length;
  const rows = Array.from({ length: steps }, (_, j) => names.map((name) => columns[name][j])).flat();
  const entries = constant(rows, [steps, names.length]).gather(index).unstack(-1);
  return Object.fromEntries(names.map((name, i) => [name, entries[i]])) as Record<K, Tensor>;
}

/** What the reverse steps of a process multiply by, a column each, one entry per step j. */
export function reverseColumns(process: Process, eta = 0) {
  const { alphaBar, alphaBarPrev } = process;
  // σ = η·√((1−ᾱ_prev)/(1−ᾱ))·√(1−ᾱ/ᾱ_prev). Song et al. 2021, equation 16; η = 1 is a DDPM.
  const sigma = alphaBar.map((a, j) => {
    return eta * Math.sqrt((1 - alphaBarPrev[j]) / (1 - a)) * Math.sqrt(1 - a / alphaBarPrev[j]);
  });
  return {
    timestep: process.timesteps,
    sqrtRecipAlphaBar: process.sqrtRecipAlphaBar,
    sqrtRecipM1AlphaBar: process.sqrtRecipM1AlphaBar,
    posteriorMeanCoef1: process.posteriorMeanCoef1,
    posteriorMeanCoef2: process.posteriorMeanCoef2,
    posteriorLogVarianceClipped: process.posteriorLogVarianceClipped,
    logBeta: process.logBeta,
    fixedLargeLogVariance: process.fixedLargeLogVariance,
    /** 0 in the last step, which adds no noise. */
    notLast: alphaBar.map((_, j) => (j ? 1 : 0)),
    sqrtAlphaBarPrev: alphaBarPrev.map((a) => Math.sqrt(a)),
    sigma,
    /** √(1−ᾱ_prev−σ²), the weight of ε in a DDIM step. */
    direction: alphaBarPrev.map((a, j) => Math.sqrt(1 - a - sigma[j] ** 2)),
  };
}

/** The columns of `reverseColumns` at one step. */
export type Coefficients = Record<keyof ReturnType<typeof reverseColumns>, Tensor>;

/** Some of them: what one formula needs. */
type At<K extends keyof Coefficients> = Pick<Coefficients, K>;

/** x̂₀ = √(1/ᾱ)·x_t − √(1/ᾱ−1)·ε̂. */
export const predictX0 = (k: At<'sqrtRecipAlphaBar' | 'sqrtRecipM1AlphaBar'>, x: Tensor, eps: Tensor) =>
  x.mul(k.sqrtRecipAlphaBar).sub(eps.mul(k.sqrtRecipM1AlphaBar));

/** ε = (√(1/ᾱ)·x_t − x̂₀) / √(1/ᾱ−1). */
export const predictEps = (k: At<'sqrtRecipAlphaBar' | 'sqrtRecipM1AlphaBar'>, x: Tensor, x0: Tensor) =>
  x.mul(k.sqrtRecipAlphaBar).sub(x0).div(k.sqrtRecipM1AlphaBar);

/** Mean of q(x_{t−1} | x_t, x₀): c₁·x₀ + c₂·x_t. Ho et al. 2020, equation 7. */
export const posteriorMean = (k: At<'posteriorMeanCoef1' | 'posteriorMeanCoef2'>, x0: Tensor, x: Tensor) =>
  x0.mul(k.posteriorMeanCoef1).add(x.mul(k.posteriorMeanCoef2));

/** log σ² = f·log β + (1−f)·log β̃ with f = (v+1)/2. Nichol & Dhariwal 2021, equation 15 (its v is f here). */
export function learnedRange(k: At<'logBeta' | 'posteriorLogVarianceClipped'>, v: Tensor): Tensor {
  const f = v.add(1).mul(0.5);
  return f.mul(k.logBeta).add(f.neg().add(1).mul(k.posteriorLogVarianceClipped));
}

/** What a model says: noise ε̂, and v where it learns the variance. */
export interface Prediction {
  readonly eps: Tensor;
  readonly v?: Tensor;
}

/** log σ² of a reverse step: the learned range, or β (Ho et al.'s larger choice) for models that learn none. */
export const logVariance = (k: Coefficients, v?: Tensor) => (v ? learnedRange(k, v) : k.fixedLargeLogVariance);

/** A model's output [N,Cout,I,I] taken apart: ε in the first C channels, v in the others. */
export function splitPrediction(out: Tensor, channels: number): Prediction {
  if (out.shape[1] === channels) return { eps: out };
  return { eps: out.slice(1, 0, channels), v: out.slice(1, channels) };
}

/**
 * Classifier-free guidance of ε [N,C,I,I]: null + scale·(cond − null) in the first `guided` channels, cond in the others.
 * Ho & Salimans 2022, equation 6, whose w is scale − 1.
 */
export function guide(cond: Tensor, unconditional: Tensor, scale: Operand, guided: number): Tensor {
  const eps = unconditional.add(cond.sub(unconditional).mul(scale));
  const channels = cond.shape[1];
  return guided < channels ? where(iota([1, channels, 1, 1], 1, 'i32').lt(guided), eps, cond) : eps;
}

/** x_j → x_{j−1}, given the model's prediction and noise z ~ N(0,1) of x's shape. */
export function reverseStep(
  k: Coefficients,
  x: Tensor,
  prediction: Prediction,
  z: Tensor,
  how: ReverseOptions,
): Tensor {
  const { eps, v } = prediction;
  const x0 = how.clip ? predictX0(k, x, eps).clamp(-1, 1) : predictX0(k, x, eps);
  return how.sampler === 'ddpm'
    ? ddpmStep(k, posteriorMean(k, x0, x), logVariance(k, v), z)
    : ddimStep(k, x0, how.clip ? predictEps(k, x, x0) : eps, how.eta ? z : undefined);
}

/** x_{j−1} = μ + [j≠0]·σ·z. Ho et al. 2020, algorithm 2. */
const ddpmStep = (k: Coefficients, mean: Tensor, logSigma2: Tensor, z: Tensor) =>
  mean.add(logSigma2.mul(0.5).exp().mul(k.notLast).mul(z));

/** x_{j−1} = √ᾱ_prev·x̂₀ + √(1−ᾱ_prev−σ²)·ε + σ·z. Song et al. 2021, equation 12; without noise, σ is 0. */
function ddimStep(k: Coefficients, x0: Tensor, eps: Tensor, z?: Tensor): Tensor {
  const mean = x0.mul(k.sqrtAlphaBarPrev).add(eps.mul(k.direction));
  return z ? mean.add(z.mul(k.sigma)) : mean;
}

export type ReverseOptions = Pick<SamplingOptions, 'sampler' | 'eta' | 'clip'>;

/** Options of the sampling entries. */
export interface SamplingOptions {
  /** How many of the 1000 steps to take, or a respacing ("ddim50", "10,15,20"): see spaceTimesteps. */
  readonly steps: number | string;
  readonly sampler: 'ddpm' | 'ddim';
  /** DDIM's η: 0 adds no noise. */
  readonly eta: number;
  /** Guidance: 1 builds a step without it. Any other value builds it in, and the input `cfgScale` sets its strength. */
  readonly cfg: number;
  /** Which channels of ε are guided: 3 is the first three, as the released code does; 4 is all of them. */
  readonly cfgChannels: 3 | 4;
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
  schedule: 'linear',
  clip: false,
};

/** The options of an entry, checked. @throws DitcError `config`. */
function samplingOptions(given: EntryOptions, nullClass?: number): SamplingOptions {
  const read = <K extends keyof SamplingOptions>(key: K): unknown => given[key] ?? samplingDefaults[key];
  const options: SamplingOptions = {
    steps: read('steps') as number | string,
    sampler: oneOf('sampler', read('sampler'), ['ddpm', 'ddim']),
    eta: realNumber('eta', read('eta'), 0, 1),
    cfg: realNumber('cfg', read('cfg')),
    cfgChannels: oneOf('cfgChannels', read('cfgChannels'), [3, 4]),
    schedule: oneOf('schedule', read('schedule'), SCHEDULES),
    clip: oneOf('clip', read('clip'), [true, false]),
  };
  if (options.cfg !== 1 && nullClass === undefined) {
    const fix = 'sample with cfg 1, or train with classDropoutProb above 0';
    throw misconfigured(`cfg is ${options.cfg}`, 'the model has no null class to guide away from', fix);
  }
  return options;
}

/** A model as the sampler sees it. */
export interface Denoiser {
  /** C and I. */
  readonly channels: number;
  readonly size: number;
  /** The label of "no class"; guidance needs it. */
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
 * State: x [N,C,I,I], step i32[]. Inputs: seed u32[2] (low word first), first u32[] (index of the batch's first image:
 * an image depends on its index, not on its batch); of `sampleStep` also y i32[N] and cfgScale f32[] (see `cfg`).
 */
export function samplingEntries(model: Denoiser): Record<'sampleStart' | 'sampleStep', EntryFunction> {
  const { channels, size, nullClass } = model;
  const stateOf = (e: Entry, { length }: Process) => ({
    x: e.state('x', [e.batch, channels, size, size]),
    step: e.counter('step', length),
  });
  const processFor = (options: SamplingOptions) => processOf(options.schedule, options.steps);
  return {
    sampleStart(e) {
      const process = processFor(samplingOptions(e.options, nullClass));
      const { x, step } = stateOf(e, process);
      e.update(x, imageNoise(e, x.shape, constant(START, [], 'u32')));
      e.update(step, constant(process.length - 1, [], 'i32'));
    },
    sampleStep(e) {
      const N = e.batch;
      const options = samplingOptions(e.options, nullClass);
      const process = processFor(options);
      const { x, step } = stateOf(e, process);
      const y = e.input('y', [N], 'i32');
      const z = imageNoise(e, x.shape, step.cast('u32'));
      const cfgScale = e.input('cfgScale', []);
      const k = lookUp(reverseColumns(process, options.eta), step);

      const predict = (images: Tensor, labels: Tensor) =>
        model.predict(e.params, images, k.timestep.broadcastTo(images.shape[0]), labels);
      // Upstream keeps both halves of the batch alive; they never differ in x, so N states are enough.
      const guidedPrediction = (): Prediction => {
        const both = predict(concat([x, x], 0), concat([y, constant(nullClass!, [N], 'i32')], 0));
        const [cond, unconditional] = both.split(2, 0).map((out) => splitPrediction(out, channels));
        const guided = options.cfgChannels === 3 ? Math.min(3, channels) : channels;
        return { eps: guide(cond.eps, unconditional.eps, cfgScale, guided), v: cond.v };
      };
      const prediction = options.cfg === 1 ? splitPrediction(predict(x, y), channels) : guidedPrediction();
      e.update(x, reverseStep(k, x, prediction, z, options));
      e.update(step, step.sub(1));
    },
  };
}
