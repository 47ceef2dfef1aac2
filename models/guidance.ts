/** The model as a sampler asks it: its output taken apart, and guided. */
import { concat, constant, iota, where, type Operand, type Scope, type Tensor } from '../compiler/dsl/index.ts';
import type { Prediction } from './objective.ts';

/** A model as sampling and training see it. */
export interface Network {
  /** C and I. */
  readonly channels: number;
  readonly size: number;
  /** How many classes there are; unset, all rows of the table that labels choose from. */
  readonly classes?: number;
  /** The label of "no class"; guidance needs it, and nobody gives it. */
  readonly nullClass?: number;
  /** x [M,C,I,I], t [M] f32 (timestep of the full process), y [M] i32 → [M,C or 2C,I,I]: what is predicted, then v if learned. */
  predict(p: Scope, x: Tensor, t: Tensor, y: Tensor): Tensor;
}

/** A model's output [N,Cout,I,I] taken apart: the first C channels, and v in the others. */
export function splitPrediction(out: Tensor, channels: number): Prediction {
  if (out.shape[1] === channels) return { out };
  return { out: out.slice(1, 0, channels), v: out.slice(1, channels) };
}

/**
 * Classifier-free guidance [N,C,I,I]: null + scale·(cond − null) in the first `guided` channels, cond in the others.
 * Ho & Salimans 2022, equation 6, whose w is scale − 1.
 */
export function guide(cond: Tensor, unconditional: Tensor, scale: Operand, guided: number): Tensor {
  const eps = unconditional.add(cond.sub(unconditional).mul(scale));
  const channels = cond.shape[1];
  return guided < channels ? where(iota([1, channels, 1, 1], 1, 'i32').lt(guided), eps, cond) : eps;
}

/** How guidance acts in a step. */
export interface Guidance {
  /** [] or a number: the scale. */
  readonly strength: Operand;
  /** The first so many channels, or all. */
  readonly channels: number | 'all';
}

/** The model at any x [N,C,I,I] and timestep [], for labels y [N]; guided where told how. */
export function asked(model: Network, params: Scope, y: Tensor, guidance?: Guidance) {
  const { channels, nullClass } = model;
  const predict = (x: Tensor, timestep: Tensor, labels: Tensor) =>
    model.predict(params, x, timestep.broadcastTo(x.shape[0]), labels);
  return (x: Tensor, timestep: Tensor): Prediction => {
    if (!guidance) return splitPrediction(predict(x, timestep, y), channels);
    // Upstream keeps both halves of the batch alive; they never differ in x, so N states are enough.
    const both = predict(concat([x, x], 0), timestep, concat([y, constant(nullClass!, y.shape, 'i32')], 0));
    const [cond, unconditional] = both.split(2, 0).map((out) => splitPrediction(out, channels));
    const count = guidance.channels === 'all' ? channels : Math.min(guidance.channels, channels);
    return { out: guide(cond.out, unconditional.out, guidance.strength, count), v: cond.v };
  };
}
