/**
 * AdamW (Loshchilov & Hutter 2019) with learning-rate schedules, clipping, gradient accumulation and an exponential moving
 * average of the weights, all on state of the device: `optimizer.step` i32[] (updates done), `optimizer.m.<param>`,
 * `optimizer.v.<param>`, `ema.<param>`, and of each further average `ema-<decay>.<param>`; with accumulation also `optimizer.batch` i32[] and `optimizer.gradient.<param>`; in f16
 * that of loss-scale.ts.
 */
import {
  constant,
  cos,
  exp,
  gradients,
  sqrt,
  where,
  type Entry,
  type EntryOptions,
  type Tensor,
} from '../compiler/dsl/index.ts';
import { realNumber, wholeNumber } from './config.ts';
import { lossScaleOptions, lossScaling, startLossScale, type LossScaleOptions } from './loss-scale.ts';
import { trainedOf, tuningOptions, type Trained, type TuningOptions } from './tuning.ts';

export interface OptimizerOptions extends LossScaleOptions, TuningOptions {
  readonly lr: number;
  readonly weightDecay: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly eps: number;
  /** Decay of the average of the weights. */
  readonly ema: number;
  /** Decays of further averages, with commas between: `0.99,0.999`. */
  readonly emas: string;
  /** Steps over which the learning rate rises linearly. */
  readonly warmup: number;
  /** Steps after which a cosine has taken the learning rate to 0; 0: it stays. */
  readonly cosine: number;
  /** Largest norm of all gradients together; 0: any. */
  readonly clip: number;
  /** Batches per update. */
  readonly accumulate: number;
  /**
   * 1: the norm of all gradients together is an output. It takes kernels of its own, and a gradient that is only a step in
   * the update of its weight is then kept in memory. Clipping knows the norm anyway.
   */
  readonly gradNorm: number;
}

/** The paper's: Peebles & Xie 2023, section 4. */
export const optimizerDefaults: Settings = {
  lr: 1e-4,
  weightDecay: 0,
  beta1: 0.9,
  beta2: 0.999,
  eps: 1e-8,
  ema: 0.9999,
  warmup: 0,
  cosine: 0,
  clip: 0,
  accumulate: 1,
  gradNorm: 0,
};

type Settings = Omit<OptimizerOptions, keyof LossScaleOptions | keyof TuningOptions | 'emas'>;

/** The options of an entry, checked. @throws DitcError `config`. */
export function optimizerOptions(given: EntryOptions): OptimizerOptions {
  const read = (key: keyof Settings): unknown => {
    // Options are a model's, and sampling has a `clip` of its own, which is true or false.
    const isOurs = !(key === 'clip' && typeof given.clip === 'boolean');
    return (isOurs ? given[key] : undefined) ?? optimizerDefaults[key];
  };
  const number = (key: keyof Settings, most = Infinity) => realNumber(key, read(key), 0, most);
  const count = (key: keyof Settings, least = 0) => wholeNumber(key, read(key), least);
  return {
    lr: number('lr'),
    weightDecay: number('weightDecay'),
    beta1: number('beta1', MOST_DECAY),
    beta2: number('beta2', MOST_DECAY),
    eps: number('eps'),
    ema: number('ema', 1),
    emas: decaysOf(given).join(),
    warmup: count('warmup'),
    cosine: count('cosine'),
    clip: number('clip'),
    accumulate: count('accumulate', 1),
    gradNorm: count('gradNorm'),
    ...lossScaleOptions(given),
    ...tuningOptions(given),
  };
}

/** @throws DitcError `config` for what is no list of decays. */
function decaysOf({ emas = '' }: EntryOptions): number[] {
  const decays = String(emas).split(',').filter(Boolean);
  return [...new Set(decays.map((decay) => realNumber('emas', Number(decay), 0, 1)))];
}

/** A moment that keeps everything never sees a gradient. This is below 1 in float32 too. */
const MOST_DECAY = 1 - 2 ** -20;

/** Updates done so far. */
export const stepOf = (e: Entry) => e.state('optimizer.step', [], 'i32');

/** Batches seen since the last update. */
export const batchOf = (e: Entry) => e.state('optimizer.batch', [], 'i32');

const stateOf = (e: Entry, prefix: string, name: string, of: Tensor) => e.state(`${prefix}.${name}`, of.shape);

/** Sets the optimiser of what is trained, of the parameters declared so far, to its start: no moments, and the average equal to the weights. */
export function startOptimizer(e: Entry, options: OptimizerOptions): void {
  const zero = (state: Tensor) => e.update(state, constant(0, state.shape, state.dtype));
  zero(stepOf(e));
  if (options.accumulate > 1) zero(batchOf(e));
  startLossScale(e, options);
  const trained = trainedOf(e, options);
  for (const { name, value } of averagedOf(e, options, trained))
    for (const { prefix } of averages(options)) e.update(stateOf(e, prefix, name, value), value);
  for (const { name, value } of trained) {
    zero(stateOf(e, 'optimizer.m', name, value));
    zero(stateOf(e, 'optimizer.v', name, value));
    if (options.accumulate > 1) zero(stateOf(e, 'optimizer.gradient', name, value));
  }
}

/** The averages, by the names of their state. */
const averages = ({ ema, emas }: OptimizerOptions): { readonly prefix: string; readonly decay: number }[] => [
  { prefix: 'ema', decay: ema },
  ...decaysOf({ batch: 1, emas }).map((decay) => ({ prefix: `ema-${decay}`, decay })),
];

/** What an average is kept of: all parameters, or of a training of some of them those alone. */
const averagedOf = (e: Entry, { train, lora }: TuningOptions, trained: readonly Trained[]): readonly Trained[] =>
  train || lora ? trained : e.parameters();

/** 1 − βᵗ without the cancellation that float32 would suffer for β near 1: the series where the power is near 1. */
function oneMinusPower(beta: number, t: Tensor): Tensor {
  if (beta === 0) return constant(1);
  const x = t.mul(-Math.log(beta));
  const series = x.mul(x.mul(x.mul(x.mul(-1 / 24).add(1 / 6)).sub(0.5)).add(1));
  return where(x.lt(0.1), series, exp(x.neg()).neg().add(1));
}

/** The learning rate at each step, from the number of steps done [] f32. */
function learningRate({ lr, warmup, cosine }: OptimizerOptions, done: Tensor): Tensor {
  let rate = constant(lr);
  if (warmup > 0)
    rate = rate.mul(
      done
        .add(1)
        .mul(1 / warmup)
        .minimum(1),
    );
  if (cosine > 0)
    rate = rate.mul(
      cos(
        done
          .mul(1 / cosine)
          .minimum(1)
          .mul(Math.PI),
      )
        .add(1)
        .mul(0.5),
    );
  return rate;
}

/** √Σg² over all gradients. */
function globalNorm(gradients: readonly Tensor[]): Tensor {
  const squares = gradients.map((g) => g.square().sum());
  return sqrt(squares.reduce((sum, square) => sum.add(square)));
}

/** What an update says of itself, [] each. */
export interface Updated {
  /** Of all gradients, before clipping, where it is asked for or needed; not finite where the update was left out. */
  readonly gradNorm?: Tensor;
  readonly lr: Tensor;
  /** After it, where the loss is scaled: the scale, and the updates left out so far (i32). */
  readonly lossScale?: Tensor;
  readonly skipped?: Tensor;
}

/**
 * One update of what is trained, of the parameters declared so far, by the gradients of the loss, and of the average after it. With accumulation a
 * batch adds its gradients, and the last one updates by their mean.
 */
export function optimize(e: Entry, options: OptimizerOptions, loss: Tensor): Updated {
  const trained = trainedOf(e, options);
  const scaling = lossScaling(e, options);
  const made = gradients(
    scaling?.scaled(loss) ?? loss,
    trained.map(({ value }) => value),
  ).map((g) => scaling?.unscaled(g) ?? g);
  const step = stepOf(e);
  const accumulation = options.accumulate > 1 ? accumulate(e, options.accumulate) : undefined;
  const summed = made.map((g, i) => accumulation?.add(trained[i].name, g) ?? g);
  const wantsNorm = options.clip > 0 || options.gradNorm > 0 || scaling;
  const norm = wantsNorm ? globalNorm(summed) : undefined;
  /** Sets what counts updates, be they left out or not, once the last batch has been. */
  const settle = (state: Tensor, value: Tensor): Tensor => {
    const next = accumulation?.settle(state, value) ?? value;
    e.update(state, next);
    return next;
  };
  const { isGood, ...scale } = (norm && scaling?.judge(norm, settle)) ?? {};
  /** Sets what the update changes, if there is one. */
  const set = (state: Tensor, value: Tensor) => settle(state, isGood ? where(isGood, value, state) : value);
  const clipped = norm && clipping(options.clip, norm);
  const scalars = stepSizes(options, step);

  const updated = new Map(
    trained.map(({ name, value }, i) => {
      const given = clipped ? summed[i].mul(clipped) : summed[i];
      // Of an update that may be left out nothing is computed, and kept, before that is known.
      const gradient = isGood ? where(isGood, given, 0) : given;
      const [m, v] = ['optimizer.m', 'optimizer.v'].map((prefix) => stateOf(e, prefix, name, value));
      const next = adamW(options, scalars, { value, gradient, m, v });
      set(m, next.m);
      set(v, next.v);
      set(value, next.value);
      return [name, next.value] as const;
    }),
  );
  for (const { name, value } of averagedOf(e, options, trained)) {
    const next = updated.get(name) ?? value;
    for (const { prefix, decay } of averages(options)) {
      const average = stateOf(e, prefix, name, value);
      // As a step towards the weights, so that what has arrived stays.
      set(average, average.add(next.sub(average).mul(1 - decay)));
    }
  }
  set(step, step.add(1));
  return { ...(norm && { gradNorm: norm }), lr: scalars.rate, ...scale };
}

/** Gradients of several batches, summed in state. */
function accumulate(e: Entry, batches: number) {
  const batch = batchOf(e);
  const isLast = batch.eq(batches - 1);
  e.update(batch, where(isLast, 0, batch.add(1)));
  return {
    /** The mean over all batches of an update, of which those to come count zero. */
    add(name: string, gradient: Tensor): Tensor {
      const sum = stateOf(e, 'optimizer.gradient', name, gradient);
      const next = sum.add(gradient.mul(1 / batches));
      e.update(sum, where(isLast, constant(0), next));
      return next;
    },
    settle: (old: Tensor, next: Tensor) => where(isLast, next, old),
  };
}

/** What gradients are scaled by so that their norm is at most `most`. Pascanu et al. 2013; 1e-6 as in PyTorch. */
const clipping = (most: number, norm: Tensor): Tensor | undefined =>
  most > 0 ? constant(most).div(norm.add(1e-6)).minimum(1) : undefined;

/** What all parameters share in a step: lr, lr/(1−β₁ᵗ) and √(1−β₂ᵗ). */
function stepSizes(options: OptimizerOptions, step: Tensor) {
  const done = step.cast('f32');
  const rate = learningRate(options, done);
  return {
    rate,
    stepSize: rate.div(oneMinusPower(options.beta1, done.add(1))),
    correction: oneMinusPower(options.beta2, done.add(1)).rsqrt(),
  };
}

interface Moments {
  readonly value: Tensor;
  readonly gradient: Tensor;
  readonly m: Tensor;
  readonly v: Tensor;
}

/** Loshchilov & Hutter 2019, algorithm 2, with PyTorch's convention that the decay is scaled by the learning rate. */
function adamW(options: OptimizerOptions, scalars: ReturnType<typeof stepSizes>, { value, gradient, m, v }: Moments) {
  const { beta1, beta2, eps, weightDecay } = options;
  const { rate, stepSize, correction } = scalars;
  const nextM = m.mul(beta1).add(gradient.mul(1 - beta1));
  const nextV = v.mul(beta2).add(gradient.square().mul(1 - beta2));
  const decayed = weightDecay > 0 ? value.mul(rate.mul(-weightDecay).add(1)) : value;
  const denominator = sqrt(nextV).mul(correction).add(eps);
  return { m: nextM, v: nextV, value: decayed.sub(nextM.mul(stepSize).div(denominator)) };
}
