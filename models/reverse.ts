/**
 * The formulas of a reverse step of DDPM's process, on tensors: predictions and posteriors. Constants are computed in float64 by schedule.ts
 * and enter the graph as one table.
 *
 * Sources: Ho et al. 2020 (DDPM), Song et al. 2021 (DDIM), Nichol & Dhariwal 2021 (learned range), Lu et al. 2022b (DPM-Solver++).
 *
 * Pictures and latents are [N,C,I,I]; a coefficient is a scalar, or [N,1,1,1] where each image has its own timestep.
 */
import type { Tensor } from '../compiler/dsl/index.ts';
import type { Process } from './schedule.ts';

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
    /** √(1−ᾱ_prev)/√(1−ᾱ) */
    sigmaRatio: alphaBar.map((a, j) => Math.sqrt((1 - alphaBarPrev[j]) / (1 - a))),
    /** √ᾱ_prev·(1 − e^−h) with h = λ_prev − λ, λ = log √(ᾱ/(1−ᾱ)): without the infinity that λ_prev is in the last step. */
    dataWeight: alphaBar.map((a, j) => {
      return Math.sqrt(alphaBarPrev[j]) - Math.sqrt(1 - alphaBarPrev[j]) * Math.sqrt(a / (1 - a));
    }),
    extrapolation: extrapolations(process),
    /** The timestep that the step leads to; of the last, which leads to none, its own. */
    timestepPrev: process.timesteps.map((t, j) => process.timesteps[j - 1] ?? t),
  };
}

/**
 * How far a solver of second order looks ahead along the line through its last two x̂₀: h/2h_before. Lu et al. 2022b, algorithm 2;
 * 0 in the first step, which has none before it, and in the last, whose h is infinite.
 */
function extrapolations({ alphaBar }: Process): Float64Array {
  const lambda = alphaBar.map((a) => Math.log(a / (1 - a)) / 2);
  const last = lambda.length - 1;
  return lambda.map((l, j) => (j > 0 && j < last ? (lambda[j - 1] - l) / (2 * (l - lambda[j + 1])) : 0));
}

/** What the steps of DDIM towards noise multiply by, as `reverseColumns`: from ᾱ to ᾱ_next, which is 0 after the last. */
export function inverseColumns({ timesteps, sqrtRecipAlphaBar, sqrtRecipM1AlphaBar, alphaBarNext }: Process) {
  return {
    ...{ timestep: timesteps, sqrtRecipAlphaBar, sqrtRecipM1AlphaBar },
    sqrtAlphaBarNext: alphaBarNext.map((a) => Math.sqrt(a)),
    directionNext: alphaBarNext.map((a) => Math.sqrt(1 - a)),
  };
}

/** The columns of `reverseColumns` at one step. */
export type Coefficients = Record<keyof ReturnType<typeof reverseColumns>, Tensor>;

/** Some of them: what one formula needs. */
export type At<K extends keyof Coefficients> = Pick<Coefficients, K>;

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

/** log σ² of a reverse step: the learned range, or β (Ho et al.'s larger choice) for models that learn none. */
export const logVariance = (k: Coefficients, v?: Tensor) => (v ? learnedRange(k, v) : k.fixedLargeLogVariance);
