/**
 * Noise schedules and the constants of the Gaussian process they define, in float64 on the host. Sources: Ho et al. 2020
 * (DDPM), Nichol & Dhariwal 2021 (cosine schedule, learned range, respacing). No tensors here: plain numbers.
 */
import { misconfigured, wholeNumber } from './config.ts';

/** `linear`: Ho et al. 2020. `squaredcos`: Nichol & Dhariwal 2021, called squaredcos_cap_v2 in their code. */
export const SCHEDULES = ['linear', 'squaredcos'] as const;
export type Schedule = (typeof SCHEDULES)[number];

/** Length of the process that models are trained on. */
export const TRAIN_STEPS = 1000;

/** β_t for t = 0 … steps−1: the variance that each step adds. */
export function betas(schedule: Schedule, steps: number = TRAIN_STEPS): Float64Array {
  return schedule === 'linear' ? linearBetas(steps) : squaredCosineBetas(steps);
}

/** Evenly from 1e-4 to 0.02 at 1000 steps; other lengths scale both ends so that as much noise is added in all. */
function linearBetas(steps: number): Float64Array {
  const [first, last] = [0.1 / steps, 20 / steps];
  const stride = (last - first) / Math.max(1, steps - 1);
  return Float64Array.from({ length: steps }, (_, t) => (t > 0 && t === steps - 1 ? last : first + t * stride));
}

/** β from ᾱ(s) = cos²((s + 0.008)/1.008 · π/2), at most 0.999. */
function squaredCosineBetas(steps: number): Float64Array {
  const alphaBar = (s: number) => Math.cos(((s + 0.008) / 1.008) * (Math.PI / 2)) ** 2;
  return Float64Array.from({ length: steps }, (_, t) => {
    return Math.min(1 - alphaBar((t + 1) / steps) / alphaBar(t / steps), 0.999);
  });
}

/** To the nearest integer, halves to the even one: what Python's `round` does, and JavaScript's `Math.round` does not. */
export function roundHalfToEven(x: number): number {
  const rounded = Math.round(x);
  return rounded - x === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}

/**
 * The timesteps of a process of `steps` that a shorter one keeps, ascending.
 *
 * `spacing` is a count ("250" or 250), counts of equal consecutive sections ("10,15,20"), "ddimN" (N at a whole
 * stride from 0: Song et al. 2021), or "" for all of them. Nichol & Dhariwal 2021, section 4.
 * @throws DitcError `config` when so many steps cannot be kept.
 */
export function spaceTimesteps(steps: number, spacing: string | number = ''): number[] {
  const text = String(spacing).trim();
  const ddim = /^ddim(\d+)$/.exec(text);
  if (ddim) return strided(steps, Number(ddim[1]));
  const counts = text === '' ? [steps] : text.split(',').map((count) => sectionCount(text, count));
  const [length, longer] = [Math.floor(steps / counts.length), steps % counts.length];
  const kept = new Set<number>();
  let start = 0;
  counts.forEach((count, section) => {
    const size = length + (section < longer ? 1 : 0);
    if (count > size) {
      const where = counts.length > 1 ? `section ${section} of ${JSON.stringify(text)}` : 'the process';
      throw misconfigured(`steps: ${count} are asked for`, `${where} has only ${size}`, `ask for at most ${size}`);
    }
    // The position is accumulated, not multiplied: sums and products round differently, and the released numbers sum.
    const stride = count > 1 ? (size - 1) / (count - 1) : 1;
    for (let i = 0, position = 0; i < count; i++, position += stride) kept.add(start + roundHalfToEven(position));
    start += size;
  });
  if (!kept.size)
    throw misconfigured(`steps: ${JSON.stringify(text)} keeps no timestep`, undefined, 'keep at least one');
  return [...kept].sort((a, b) => a - b);
}

function sectionCount(text: string, count: string): number {
  if (/^\s*\d+\s*$/.test(count)) return Number(count);
  const fix = 'give a count (250), section counts ("10,15,20") or "ddim50"';
  throw misconfigured(`steps: ${JSON.stringify(text)} is not a number of steps`, undefined, fix);
}

/** Every `stride`th timestep from 0, for the smallest stride that keeps exactly `count` of them. */
function strided(steps: number, count: number): number[] {
  for (let stride = 1; stride < steps; stride++) {
    if (Math.ceil(steps / stride) === count) return Array.from({ length: count }, (_, i) => i * stride);
  }
  const fix = `use a count that divides ${steps}, or "${count}" for uneven strides`;
  throw misconfigured(`steps: no whole stride keeps exactly ${count} of ${steps} timesteps`, undefined, fix);
}

/** One process of T' steps. Each table has one entry for each of its steps j = 0 … T'−1; α = 1 − β, ᾱ = Πα. */
export interface Process {
  /** T'. */
  readonly length: number;
  /** The timestep of the full process that step j is: what the model is told. */
  readonly timesteps: readonly number[];
  readonly beta: Float64Array;
  readonly alphaBar: Float64Array;
  /** ᾱ_{j−1}, 1 at 0. */
  readonly alphaBarPrev: Float64Array;
  /** ᾱ_{j+1}, 0 at the end. */
  readonly alphaBarNext: Float64Array;
  /** √ᾱ */
  readonly sqrtAlphaBar: Float64Array;
  /** √(1−ᾱ) */
  readonly sqrtOneMinusAlphaBar: Float64Array;
  /** log(1−ᾱ) */
  readonly logOneMinusAlphaBar: Float64Array;
  /** √(1/ᾱ) */
  readonly sqrtRecipAlphaBar: Float64Array;
  /** √(1/ᾱ−1) */
  readonly sqrtRecipM1AlphaBar: Float64Array;
  /** β̃ = β(1−ᾱ_prev)/(1−ᾱ), the variance of q(x_{j−1} | x_j, x₀): 0 at 0. */
  readonly posteriorVariance: Float64Array;
  /** log β̃, entry 0 being that of entry 1. */
  readonly posteriorLogVarianceClipped: Float64Array;
  /** log β */
  readonly logBeta: Float64Array;
  /** log β, entry 0 being log β̃₁: the variance of models that do not learn it. */
  readonly fixedLargeLogVariance: Float64Array;
  /** c₁ = β√ᾱ_prev/(1−ᾱ), the weight of x₀ in the posterior mean. */
  readonly posteriorMeanCoef1: Float64Array;
  /** c₂ = (1−ᾱ_prev)√α/(1−ᾱ), the weight of x_j in it. */
  readonly posteriorMeanCoef2: Float64Array;
}

/** ᾱ: the running product of 1 − β. */
function cumulate(beta: Float64Array): Float64Array {
  let product = 1;
  return beta.map((b) => (product *= 1 - b));
}

/**
 * The process with these β; with `timesteps`, the shorter one that visits only those: β'_j = 1 − ᾱ_{s_j}/ᾱ_{s_{j−1}}.
 */
export function gaussianProcess(full: Float64Array, timesteps?: readonly number[]): Process {
  const fullAlphaBar = cumulate(full);
  const at = timesteps ?? Array.from(full, (_, t) => t);
  const respaced = (_: number, j: number) => 1 - fullAlphaBar[at[j]] / (j ? fullAlphaBar[at[j - 1]] : 1);
  const beta = timesteps ? Float64Array.from(at, respaced) : full;
  const alphaBar = cumulate(beta);
  const alphaBarPrev = alphaBar.map((_, j) => (j ? alphaBar[j - 1] : 1));
  const posteriorVariance = beta.map((b, j) => (b * (1 - alphaBarPrev[j])) / (1 - alphaBar[j]));
  // β̃₀ is 0 and has no logarithm: it borrows β̃₁. A process of one step has none, and no use for it either.
  const first = beta.length > 1 ? posteriorVariance[1] : beta[0];
  return {
    length: beta.length,
    timesteps: at,
    beta,
    alphaBar,
    alphaBarPrev,
    alphaBarNext: alphaBar.map((_, j) => alphaBar[j + 1] ?? 0),
    sqrtAlphaBar: alphaBar.map((a) => Math.sqrt(a)),
    sqrtOneMinusAlphaBar: alphaBar.map((a) => Math.sqrt(1 - a)),
    logOneMinusAlphaBar: alphaBar.map((a) => Math.log(1 - a)),
    sqrtRecipAlphaBar: alphaBar.map((a) => Math.sqrt(1 / a)),
    sqrtRecipM1AlphaBar: alphaBar.map((a) => Math.sqrt(1 / a - 1)),
    posteriorVariance,
    posteriorLogVarianceClipped: posteriorVariance.map((v, j) => Math.log(j ? v : first)),
    logBeta: beta.map((b) => Math.log(b)),
    fixedLargeLogVariance: beta.map((b, j) => Math.log(j ? b : first)),
    posteriorMeanCoef1: beta.map((b, j) => (b * Math.sqrt(alphaBarPrev[j])) / (1 - alphaBar[j])),
    posteriorMeanCoef2: beta.map((b, j) => ((1 - alphaBarPrev[j]) * Math.sqrt(1 - b)) / (1 - alphaBar[j])),
  };
}

/** The process a schedule defines, keeping as many of its 1000 timesteps as `spacing` says (see spaceTimesteps). */
export function processOf(schedule: Schedule, spacing: string | number = '', steps: number = TRAIN_STEPS): Process {
  wholeNumber('the length of the process', steps);
  return gaussianProcess(betas(schedule, steps), spaceTimesteps(steps, spacing));
}
