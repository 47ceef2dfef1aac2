/**
 * The ways from noise to a picture along an interpolant: Euler's and Heun's method for the ODE dx/dt = v, and Euler–Maruyama for an
 * SDE of the same marginals. Ma et al. 2024 (SiT), section 2; Karras et al. 2022, algorithm 1, for Heun's.
 *
 * A step from t to t − h is a sum of x and x̂₀, as v = (σ'x − w·x̂₀)/σ with w = σ'α − α'σ; the weights are computed in float64. The
 * last step gives x̂₀ itself.
 */
import type { Tensor } from '../compiler/dsl/index.ts';
import { turning, type Point } from './interpolant.ts';
import type { Inverter, Sampler, Step } from './objective.ts';
import { TRAIN_STEPS } from './schedule.ts';

type Weight = (point: Point<number>) => number;

/** A path, as its steps see it. */
export interface Path {
  at(t: number): Point<number>;
  /** x̂₀ as a sum of x and the model's output. */
  readonly x0: { readonly ofX: Weight; readonly ofOut: Weight };
  /** The time at which sampling begins. */
  readonly first: number;
}

/** A path, as steps along it towards noise see it. */
export interface PathToNoise extends Path {
  /** dx/dt as a sum of x and the model's output. */
  readonly velocity: { readonly ofX: Weight; readonly ofOut: Weight };
  /** The time that the picture is taken for: 0, but where what the model says there is no direction. */
  readonly last: number;
}

/** v = velocity.ofX·x − velocity.ofX0·x̂₀. */
const velocity: Record<'ofX' | 'ofX0', Weight> = {
  ofX: ({ sigma, sigmaSlope }) => sigmaSlope / sigma,
  ofX0: (p) => turning(p) / p.sigma,
};

/** When each step begins: evenly from 0, where the last ends. */
export const timesOf = ({ first }: Pick<Path, 'first'>, steps: number): number[] =>
  Array.from({ length: steps }, (_, j) => (first * (j + 1)) / steps);

/** What steps multiply by, named by what is multiplied: a column each, one entry per step j. */
export function flowColumns(path: Path, steps: number) {
  const { at, x0, first } = path;
  const [times, h] = [timesOf(path, steps), first / steps];
  const here = (weight: Weight) => times.map((t) => weight(at(t)));
  /** At the time that the step leads to, where the last asks nothing. */
  const there = (weight: Weight) => times.map((_, j) => (j ? weight(at(times[j - 1])) : 0));
  /** As `here`, but for the last step. */
  const untilLast = (last: number, weight: Weight) => times.map((t, j) => (j ? weight(at(t)) : last));
  return {
    timestep: times.map((t) => t * TRAIN_STEPS),
    timestepPrev: times.map((t, j) => (times[j - 1] ?? t) * TRAIN_STEPS),
    x0OfX: here(x0.ofX),
    x0OfOut: here(x0.ofOut),
    x0PrevOfX: there(x0.ofX),
    x0PrevOfOut: there(x0.ofOut),
    eulerOfX: untilLast(0, (p) => 1 - h * velocity.ofX(p)),
    eulerOfX0: untilLast(1, (p) => h * velocity.ofX0(p)),
    // Of half a step, at its beginning and its end; 0 in the last, which is Euler's.
    halfOfX: untilLast(0, (p) => (h / 2) * velocity.ofX(p)),
    halfOfX0: untilLast(0, (p) => (h / 2) * velocity.ofX0(p)),
    halfPrevOfX: there((p) => (h / 2) * velocity.ofX(p)),
    halfPrevOfX0: there((p) => (h / 2) * velocity.ofX0(p)),
    // dx = (v − ½w·score) dt + √w dW backwards in time, with w = σ and score = −(x − α·x̂₀)/σ².
    sdeOfX: untilLast(0, (p) => 1 - h * velocity.ofX(p) - h / (2 * p.sigma)),
    sdeOfX0: untilLast(1, (p) => h * velocity.ofX0(p) + (h * p.alpha) / (2 * p.sigma)),
    sdeOfZ: untilLast(0, ({ sigma }) => Math.sqrt(h * sigma)),
  };
}

/** What steps towards noise multiply by, as `flowColumns`: a step j leads to the time at which step j back begins. */
export function inverseFlowColumns(path: PathToNoise, steps: number) {
  const { at, velocity, last } = path;
  const ends = timesOf(path, steps);
  const begins = ends.map((_, j) => ends[j - 1] ?? last);
  /** A velocity's weight times the length of the step. */
  const ahead = (times: readonly number[], weight: Weight) =>
    times.map((t, j) => (ends[j] - begins[j]) * weight(at(t)));
  return {
    timestep: begins.map((t) => t * TRAIN_STEPS),
    timestepNext: ends.map((t) => t * TRAIN_STEPS),
    aheadOfX: ahead(begins, velocity.ofX),
    aheadOfOut: ahead(begins, velocity.ofOut),
    aheadNextOfX: ahead(ends, velocity.ofX),
    aheadNextOfOut: ahead(ends, velocity.ofOut),
  };
}

export type InverseFlowColumn = keyof ReturnType<typeof inverseFlowColumns>;

export type FlowColumn = keyof ReturnType<typeof flowColumns>;

/** a·x + b·y. */
const sum = (a: Tensor, x: Tensor, b: Tensor, y: Tensor): Tensor => x.mul(a).add(y.mul(b));

const limited = (x0: Tensor, clip: boolean): Tensor => (clip ? x0.clamp(-1, 1) : x0);

/** x̂₀ at the beginning of a step. */
const denoised = ({ k, x, predict, clip }: Step<FlowColumn>): Tensor =>
  limited(sum(k.x0OfX, x, k.x0OfOut, predict(x, k.timestep).out), clip);

const euler: Sampler<FlowColumn> = {
  remembers: false,
  step(at) {
    const { k, x } = at;
    const x0 = denoised(at);
    return { x: sum(k.eulerOfX, x, k.eulerOfX0, x0), x0 };
  },
};

/** The velocity is the mean of those at both ends of Euler's step; two evaluations. */
const heun: Sampler<FlowColumn> = {
  remembers: false,
  step(at) {
    const { k, x, predict, clip } = at;
    const x0 = denoised(at);
    const there = sum(k.eulerOfX, x, k.eulerOfX0, x0);
    const x0There = limited(sum(k.x0PrevOfX, there, k.x0PrevOfOut, predict(there, k.timestepPrev).out), clip);
    const first = sum(k.halfOfX, x, k.halfOfX0.neg(), x0);
    const second = sum(k.halfPrevOfX, there, k.halfPrevOfX0.neg(), x0There);
    return { x: there.add(first).sub(second), x0 };
  },
};

const eulerMaruyama: Sampler<FlowColumn> = {
  remembers: false,
  step(at) {
    const { k, x, z } = at;
    const x0 = denoised(at);
    return { x: sum(k.sdeOfX, x, k.sdeOfX0, x0).add(z.mul(k.sdeOfZ)), x0 };
  },
};

/** The ODE followed towards noise, by Euler's method. */
const eulerInverter: Inverter<InverseFlowColumn> = {
  step: ({ k, x, predict }) => x.add(sum(k.aheadOfX, x, k.aheadOfOut, predict(x, k.timestep).out)),
};

/** By Heun's: with the mean of the velocities at both ends. */
const heunInverter: Inverter<InverseFlowColumn> = {
  step({ k, x, predict }) {
    const first = sum(k.aheadOfX, x, k.aheadOfOut, predict(x, k.timestep).out);
    const there = x.add(first);
    const second = sum(k.aheadNextOfX, there, k.aheadNextOfOut, predict(there, k.timestepNext).out);
    return x.add(first.add(second).mul(0.5));
  },
};

/** The ways to noise, by the names of the samplers that come back from it. */
export const flowInverters = { euler: eulerInverter, heun: heunInverter };

export const flowSamplers = { euler, heun, 'euler-maruyama': eulerMaruyama };
