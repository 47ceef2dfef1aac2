/**
 * Interpolants between pictures and noise: x_t = α(t)·x₀ + σ(t)·ε, with t from 0, the picture, to 1, the noise. Ma et al. 2024
 * (SiT, arXiv 2401.08740), section 2.
 */
import { constant, cos, sin, type Tensor } from '../compiler/dsl/index.ts';

/** At one time: the shares of picture and noise, and how fast they change. */
export interface Point<T> {
  readonly alpha: T;
  readonly sigma: T;
  /** dα/dt */
  readonly alphaSlope: T;
  /** dσ/dt */
  readonly sigmaSlope: T;
}

interface Interpolant {
  /** In float64 on the host. */
  at(t: number): Point<number>;
  /** In a graph, of t's shape. */
  of(t: Tensor): Point<Tensor>;
}

/** σ'α − α'σ, how fast picture and noise turn into each other: 1 of the linear interpolant, π/2 of the cosine. */
export const turning = ({ alpha, sigma, alphaSlope, sigmaSlope }: Point<number>): number =>
  sigmaSlope * alpha - alphaSlope * sigma;

const QUARTER = Math.PI / 2;

/** α = 1 − t, σ = t. */
const linear: Interpolant = {
  at: (t) => ({ alpha: 1 - t, sigma: t, alphaSlope: -1, sigmaSlope: 1 }),
  of: (t) => {
    const one = constant(1, t.shape);
    return { alpha: t.neg().add(1), sigma: t, alphaSlope: one.neg(), sigmaSlope: one };
  },
};

/** α = cos(πt/2), σ = sin(πt/2): x_t keeps its variance. SiT calls it GVP. */
const cosine: Interpolant = {
  at: (t) => {
    const [alpha, sigma] = [Math.cos(QUARTER * t), Math.sin(QUARTER * t)];
    return { alpha, sigma, alphaSlope: -QUARTER * sigma, sigmaSlope: QUARTER * alpha };
  },
  of: (t) => {
    const [alpha, sigma] = [cos(t.mul(QUARTER)), sin(t.mul(QUARTER))];
    return { alpha, sigma, alphaSlope: sigma.mul(-QUARTER), sigmaSlope: alpha.mul(QUARTER) };
  },
};

export const interpolants = { linear, cosine };
