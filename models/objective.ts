/**
 * What a model is trained to predict, and the ways back from noise that follow from it. Sampling (diffusion.ts) and training
 * (training.ts) know objectives by this interface alone.
 */
import type { EntryOptions, Tensor } from '../compiler/dsl/index.ts';
import { misconfigured } from './config.ts';

/** A model's output taken apart: the first C channels, whose meaning is the objective's, and v where it learns the variance. */
export interface Prediction {
  /** ε̂, or by flow matching what the model was asked for. */
  readonly out: Tensor;
  readonly v?: Tensor;
}

/** What a step is told of its place. K are the columns of the objective's table. */
export interface Step<K extends string> {
  /** The table at this step: what the formulas multiply by. */
  readonly k: Record<K, Tensor>;
  /** [N,C,I,I] */
  readonly x: Tensor;
  /** Noise of x's shape, N(0,1). */
  readonly z: Tensor;
  /** The model, with guidance, at this or another x and timestep. */
  predict(x: Tensor, timestep: Tensor): Prediction;
  /** x̂₀ of the step before, for a sampler that remembers it. */
  readonly before?: Tensor;
  readonly eta: number;
  /** Whether x̂₀ is limited to [−1,1]. */
  readonly clip: boolean;
}

/** x of the next step, and x̂₀ of this one: what a sampler remembers, and what can be shown of it. */
export interface Stepped {
  readonly x: Tensor;
  readonly x0: Tensor;
}

export interface Sampler<K extends string> {
  /** Whether a step reads x̂₀ of the step before. */
  readonly remembers: boolean;
  step(at: Step<K>): Stepped;
}

/** A step towards noise, along the path that a sampler comes back by. K are the columns of the objective's table for it. */
export interface Inverter<K extends string> {
  step(at: Pick<Step<K>, 'k' | 'x' | 'predict'>): Tensor;
}

/** The way from noise to picture in steps j = T'−1 … 0, or from picture to noise in steps j = 0 … T'−1. */
export interface WayBack<K extends string> {
  /** A column of numbers each, one for each step. */
  readonly columns: Record<K, ArrayLike<number>>;
  /** Where in the process each step begins: 0 is the picture, 1 noise. */
  readonly shares: readonly number[];
}

/** The losses of a batch, [N] each. */
export interface Losses {
  readonly loss: Tensor;
  /** The squared error, mean over the image, unweighted. */
  readonly mse: Tensor;
  /** The bound's term, in bits, for an objective that has one. */
  readonly vb?: Tensor;
}

/** Random numbers of each image, [N] each: independent of one another and of the noise. */
export interface TimeDraws {
  /** U(0, 1]. */
  uniform(): Tensor;
  /** N(0, 1). */
  normal(): Tensor;
}

/** How a batch is trained on. t [N] is a time as `timeType` says. */
export interface Trainer {
  readonly timeType: 'i32' | 'f32';
  drawTimes(draws: TimeDraws): Tensor;
  /** x₀ and ε [N,C,I,I]; the model is asked at x and timestep [N] f32. */
  losses(t: Tensor, x0: Tensor, noise: Tensor, predict: (x: Tensor, timestep: Tensor) => Prediction): Losses;
  /** t as a share of the process times `parts`, in whole numbers. */
  part(t: Tensor, parts: number): Tensor;
}

/** What a model predicts, the loss of that, and the samplers that follow. K and I are the columns of its tables, back and to noise. */
export interface Objective<K extends string = string, I extends string = string> {
  /** Said of a model that has it: "the model …". */
  readonly told: string;
  readonly samplers: Readonly<Record<string, Sampler<K>>>;
  /** The samplers whose path leads to noise as well: those that draw none on the way. */
  readonly inverters: Readonly<Record<string, Inverter<I>>>;
  /** What sampling does unless told. */
  readonly defaults: Readonly<Record<string, unknown>> & { readonly sampler: string; readonly steps: number };
  /** @throws DitcError `config` when it has no such way. */
  wayBack(steps: number | string, options: EntryOptions): WayBack<K>;
  /** As `wayBack`, from picture to noise. */
  wayToNoise(steps: number | string, options: EntryOptions): WayBack<I>;
  /** @throws DitcError `config`. */
  trainer(options: EntryOptions): Trainer;
}

/** Throws when an option is set that means something for other objectives alone. */
export function refuseOptions(given: EntryOptions, names: readonly string[], { told }: Pick<Objective, 'told'>): void {
  const name = names.find((key) => given[key] !== undefined && given[key] !== 0);
  if (name !== undefined)
    throw misconfigured(
      `${name} is ${String(given[name])}`,
      `the model ${told}, which has no such setting`,
      'leave it out',
    );
}
