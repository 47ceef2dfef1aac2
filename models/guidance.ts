/** The model as a sampler asks it: its output taken apart, and guided. */
import {
  concat,
  constant,
  iota,
  where,
  type DType,
  type Entry,
  type Operand,
  type Scope,
  type Tensor,
} from '../compiler/dsl/index.ts';
import type { Prediction } from './objective.ts';

/** The side of a square, or [height, width]. */
export type Sides = number | readonly [height: number, width: number];

export const sidesOf = (size: Sides): [height: number, width: number] =>
  typeof size === 'number' ? [size, size] : [size[0], size[1]];

/** What a model is told besides x, t and labels: an input of its entries, for each example. */
export interface Condition {
  readonly name: string;
  /** Of one example. */
  readonly shape: readonly number[];
  readonly dtype?: DType;
  /** What stands for none, [1, …shape]: in guidance, and where an example's is dropped. Left out: the example's own. */
  nothing?(p: Scope): Tensor;
}

/** Values of conditions by name, [N, …shape] each. */
export type Conditions = Readonly<Record<string, Tensor>>;

/** A model as sampling and training see it. */
export interface Network {
  /** C and I. */
  readonly channels: number;
  readonly size: Sides;
  /** How many classes there are; unset, all rows of the table that labels choose from. */
  readonly classes?: number;
  /** The label of "no class"; guidance needs it, and nobody gives it. */
  readonly nullClass?: number;
  readonly conditions?: readonly Condition[];
  /** x [M,C,I,I], t [M] f32 (timestep of the full process), y [M] i32 → [M,C or 2C,I,I]: what is predicted, then v if learned. */
  predict(p: Scope, x: Tensor, t: Tensor, y: Tensor, given?: Conditions): Tensor;
}

/** Whether the model can be told nothing, and so be guided. */
export const hasNothing = ({ nullClass, conditions = [] }: Pick<Network, 'nullClass' | 'conditions'>): boolean =>
  nullClass !== undefined || conditions.some(({ nothing }) => nothing);

/** The conditions as inputs of an entry. */
export const conditionsOf = (e: Entry, { conditions = [] }: Pick<Network, 'conditions'>): Conditions =>
  Object.fromEntries(conditions.map(({ name, shape, dtype }) => [name, e.input(name, [e.batch, ...shape], dtype)]));

/** The conditions of which `make` makes others of each. */
export function changed(
  { conditions = [] }: Pick<Network, 'conditions'>,
  given: Conditions,
  make: (own: Tensor, condition: Condition) => Tensor,
): Conditions {
  return Object.fromEntries(conditions.map((condition) => [condition.name, make(given[condition.name], condition)]));
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
export function asked(model: Network, params: Scope, y: Tensor, given: Conditions, guidance?: Guidance) {
  const { channels, nullClass } = model;
  const predict = (x: Tensor, timestep: Tensor, labels: Tensor, told: Conditions) =>
    model.predict(params, x, timestep.broadcastTo(x.shape[0]), labels, told);
  const unlabelled = () => (nullClass === undefined ? y : constant(nullClass, y.shape, 'i32'));
  const halves = () =>
    changed(model, given, (own, { nothing }) => concat([own, nothing?.(params).broadcastTo(...own.shape) ?? own], 0));
  return (x: Tensor, timestep: Tensor): Prediction => {
    if (!guidance) return splitPrediction(predict(x, timestep, y, given), channels);
    // Upstream keeps both halves of the batch alive; they never differ in x, so N states are enough.
    const both = predict(concat([x, x], 0), timestep, concat([y, unlabelled()], 0), halves());
    const [cond, unconditional] = both.split(2, 0).map((out) => splitPrediction(out, channels));
    const count = guidance.channels === 'all' ? channels : Math.min(guidance.channels, channels);
    return { out: guide(cond.out, unconditional.out, guidance.strength, count), v: cond.v };
  };
}
