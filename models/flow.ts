/**
 * Flow matching: the model follows an interpolant between picture and noise, and what it predicts gives the velocity along it.
 * Lipman et al. 2023 (arXiv 2210.02747); Ma et al. 2024 (SiT, arXiv 2401.08740), whose formulas these are.
 *
 * Pictures and latents are [N,C,I,I]. A time t runs from 0, the picture, to 1, the noise; the model is told the timestep 1000·t.
 */
import { sigmoid, type EntryOptions, type Tensor } from '../compiler/dsl/index.ts';
import { oneOf, rejectUnknownKeys, wholeNumber } from './config.ts';
import {
  flowColumns,
  flowInverters,
  flowSamplers,
  inverseFlowColumns,
  timesOf,
  type FlowColumn,
  type InverseFlowColumn,
  type PathToNoise,
} from './flow-samplers.ts';
import { interpolants, turning, type Point } from './interpolant.ts';
import { refuseOptions, type Objective, type TimeDraws } from './objective.ts';
import { TRAIN_STEPS } from './schedule.ts';

interface Predicted extends Omit<PathToNoise, 'at'> {
  /** How far the output is from what it should be, weighted where it would not be finite at all times. */
  error(out: Tensor, point: Point<Tensor>, x0: Tensor, noise: Tensor): Tensor;
}

/** At t = 1 itself x is noise alone, and noise or score, known there from x, say nothing of the picture. */
const NEARLY_NOISE = 0.999;
/** At t = 0 x is the picture alone: x₀ is known there, and σ·score is 0, whatever the noise. */
const NEARLY_PICTURE = 0.001;

/** The velocity dx/dt = α'x₀ + σ'ε. */
const velocity: Predicted = {
  x0: { ofX: (p) => p.sigmaSlope / turning(p), ofOut: (p) => -p.sigma / turning(p) },
  velocity: { ofX: () => 0, ofOut: () => 1 },
  error: (out, p, x0, noise) => out.sub(x0.mul(p.alphaSlope).add(noise.mul(p.sigmaSlope))),
  first: 1,
  last: 0,
};

/** ∇log p_t(x) = −ε/σ; its error counts σ times. */
const score: Predicted = {
  x0: { ofX: (p) => 1 / p.alpha, ofOut: (p) => p.sigma ** 2 / p.alpha },
  velocity: { ofX: (p) => p.alphaSlope / p.alpha, ofOut: (p) => (-turning(p) * p.sigma) / p.alpha },
  error: (out, p, _x0, noise) => out.mul(p.sigma).add(noise),
  first: NEARLY_NOISE,
  last: NEARLY_PICTURE,
};

const noise: Predicted = {
  x0: { ofX: (p) => 1 / p.alpha, ofOut: (p) => -p.sigma / p.alpha },
  velocity: { ofX: (p) => p.alphaSlope / p.alpha, ofOut: (p) => turning(p) / p.alpha },
  error: (out, _p, _x0, noise) => out.sub(noise),
  first: NEARLY_NOISE,
  last: 0,
};

const x0: Predicted = {
  x0: { ofX: () => 0, ofOut: () => 1 },
  velocity: { ofX: (p) => p.sigmaSlope / p.sigma, ofOut: (p) => -turning(p) / p.sigma },
  error: (out, _p, x0) => out.sub(x0),
  first: 1,
  last: NEARLY_PICTURE,
};

const predictions = { velocity, score, noise, x0 };

/** How times are drawn in training. */
const draws = {
  uniform: ({ uniform }: TimeDraws) => uniform(),
  /** The sigmoid of N(0,1): most in the middle, where most is to be learned. Esser et al. 2024 (arXiv 2403.03206), section 3.1. */
  'logit-normal': ({ normal }: TimeDraws) => sigmoid(normal()),
};

/** What a flow matching model predicts, along which path, and which times training draws. */
export type FlowConfig = {
  /** `linear`: x = (1−t)·x₀ + t·ε. `cosine`: x = cos(πt/2)·x₀ + sin(πt/2)·ε, SiT's GVP. */
  interpolant: keyof typeof interpolants;
  /** What the model's first C channels are: dx/dt, ∇log p(x), ε or x₀. Velocity is SiT's choice. */
  prediction: keyof typeof predictions;
  /** How times are drawn in training: `uniform` on (0,1], or `logit-normal` (Esser et al. 2024). */
  times: keyof typeof draws;
};

const DEFAULTS: FlowConfig = { interpolant: 'linear', prediction: 'velocity', times: 'uniform' };

/** Fills in the defaults. @throws DitcError `config`. */
export function completeFlow(given: Partial<FlowConfig>): FlowConfig {
  rejectUnknownKeys('flow', given, DEFAULTS);
  const cfg = { ...DEFAULTS, ...given };
  const keysOf = <T extends object>(table: T) => Object.keys(table) as (keyof T)[];
  oneOf('flow: interpolant', cfg.interpolant, keysOf(interpolants));
  oneOf('flow: prediction', cfg.prediction, keysOf(predictions));
  oneOf('flow: times', cfg.times, keysOf(draws));
  return cfg;
}

/** Settings of DDPM's process and loss. */
const FOREIGN = ['schedule', 'eta', 'minSnr'];

/** Flow matching: training regresses what the path asks for, sampling integrates it from noise to data. @throws DitcError `config`. */
export function flow(config: FlowConfig): Objective<FlowColumn, InverseFlowColumn> {
  const [interpolant, predicted] = [interpolants[config.interpolant], predictions[config.prediction]];
  const told = 'is one of flow matching';
  const path = { at: interpolant.at, ...predicted };
  const stepsOf = (given: number | string, options: EntryOptions): number => {
    refuseOptions(options, FOREIGN, { told });
    return wholeNumber('steps', given);
  };
  return {
    told,
    samplers: flowSamplers,
    inverters: flowInverters,
    defaults: { sampler: 'euler', steps: 50 },
    wayBack(given, options) {
      const steps = stepsOf(given, options);
      return { columns: flowColumns(path, steps), shares: timesOf(path, steps) };
    },
    wayToNoise(given, options) {
      const steps = stepsOf(given, options);
      return { columns: inverseFlowColumns(path, steps), shares: timesOf(path, steps) };
    },
    trainer(given) {
      refuseOptions(given, FOREIGN, { told });
      return {
        timeType: 'f32',
        drawTimes: draws[config.times],
        losses(t, x0, noise, predict) {
          const point = interpolant.of(t.reshape(t.shape[0], 1, 1, 1));
          const x = x0.mul(point.alpha).add(noise.mul(point.sigma));
          const { out } = predict(x, t.mul(TRAIN_STEPS));
          const mse = predicted.error(out, point, x0, noise).square().mean([1, 2, 3]);
          return { mse, loss: mse };
        },
        part: (t, parts) =>
          t
            .mul(parts)
            .cast('i32')
            .minimum(parts - 1),
      };
    },
  };
}
