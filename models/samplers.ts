/**
 * Samplers of DDPM's process: how x becomes less noisy, one step at a time. Each is a graph; what it remembers of the steps before
 * is state on the device.
 */
import type { Tensor } from '../compiler/dsl/index.ts';
import type { Inverter, Sampler as SamplerOf } from './objective.ts';
import {
  type inverseColumns,
  logVariance,
  posteriorMean,
  predictEps,
  predictX0,
  type At,
  type Coefficients,
} from './reverse.ts';

type Sampler = SamplerOf<keyof Coefficients>;

/** x̂₀, and the ε̂ that leads to it: after clipping another than the model said. */
function denoised(k: Coefficients, x: Tensor, eps: Tensor, clip: boolean) {
  const x0 = predictX0(k, x, eps);
  if (!clip) return { x0, eps };
  const clipped = x0.clamp(-1, 1);
  return { x0: clipped, eps: predictEps(k, x, clipped) };
}

/** x_{j−1} = μ + [j≠0]·σ·z. Ho et al. 2020, algorithm 2. */
const ddpm: Sampler = {
  remembers: false,
  step({ k, x, z, predict, clip }) {
    const { out: eps, v } = predict(x, k.timestep);
    const { x0 } = denoised(k, x, eps, clip);
    const mean = posteriorMean(k, x0, x);
    return { x: mean.add(logVariance(k, v).mul(0.5).exp().mul(k.notLast).mul(z)), x0 };
  },
};

/** √ᾱ_prev·x̂₀ + √(1−ᾱ_prev−σ²)·ε̂, the mean of a DDIM step. Song et al. 2021, equation 12. */
const ddimMean = (k: At<'sqrtAlphaBarPrev' | 'direction'>, { x0, eps }: { x0: Tensor; eps: Tensor }) =>
  x0.mul(k.sqrtAlphaBarPrev).add(eps.mul(k.direction));

/** With η = 0 it is Euler's step of the probability flow, dx̄ = ε̂ dσ̄ with x̄ = x/√ᾱ and σ̄ = √(1/ᾱ−1). */
const ddim: Sampler = {
  remembers: false,
  step({ k, x, z, predict, clip, eta }) {
    const clean = denoised(k, x, predict(x, k.timestep).out, clip);
    const mean = ddimMean(k, clean);
    return { x: eta ? mean.add(z.mul(k.sigma)) : mean, x0: clean.x0 };
  },
};

/** Heun's step of the same flow: ε̂ is the mean of those at both ends, the last step Euler's. Karras et al. 2022, algorithm 1. */
const heun: Sampler = {
  remembers: false,
  step({ k, x, predict, clip }) {
    const { x0, eps: first } = denoised(k, x, predict(x, k.timestep).out, clip);
    const there = ddimMean(k, denoised(k, x, first, clip));
    const second = predict(there, k.timestepPrev).out;
    const mean = first.add(second.sub(first).mul(k.notLast.mul(0.5)));
    return { x: ddimMean(k, denoised(k, x, mean, clip)), x0 };
  },
};

/**
 * DPM-Solver++(2M): x_{j−1} = (σ_prev/σ)·x + √ᾱ_prev·(1−e^−h)·D, where D looks ahead from x̂₀ by half a step along the line from the
 * one before. Second order for one evaluation a step. Lu et al. 2022b, algorithm 2.
 */
const dpmSolver: Sampler = {
  remembers: true,
  step({ k, x, predict, clip, before }) {
    const { x0 } = denoised(k, x, predict(x, k.timestep).out, clip);
    const ahead = x0.add(x0.sub(before!).mul(k.extrapolation));
    return { x: x.mul(k.sigmaRatio).add(ahead.mul(k.dataWeight)), x0 };
  },
};

/** √ᾱ_next·x̂₀ + √(1−ᾱ_next)·ε̂: the same flow, followed towards noise. The picture is taken for x of the first timestep. Song et al. 2021, section 4.3. */
const ddimInverter: Inverter<keyof ReturnType<typeof inverseColumns>> = {
  step({ k, x, predict }) {
    const eps = predict(x, k.timestep).out;
    return predictX0(k, x, eps).mul(k.sqrtAlphaBarNext).add(eps.mul(k.directionNext));
  },
};

/** The ways to noise, by the names of the samplers that come back from it. */
export const inverters = { ddim: ddimInverter };

/** The ways back from noise of a DDPM, by the names that `--sampler` takes. */
export const samplers = { ddpm, ddim, heun, 'dpm++': dpmSolver };
