/**
 * Training as graphs: one call of `trainStep` is one whole step on the device. It draws timesteps, noise and dropped labels,
 * runs the model forward and backward, and updates weights, moments and their average. Peebles & Xie 2023, section 4.
 */
import {
  constant,
  iota,
  randomNormal,
  randomUniform,
  where,
  type Entry,
  type EntryFunction,
  type EntryOptions,
  type RandomSource,
  type Tensor,
} from '../compiler/dsl/index.ts';
import { misconfigured, realNumber } from './config.ts';
import {
  changed,
  conditionsOf,
  hasNothing,
  objectiveOf,
  sidesOf,
  splitPrediction,
  type DdpmOptions,
  type Denoiser,
} from './diffusion.ts';
import type { Losses, Trainer } from './objective.ts';
import { batchOf, optimize, optimizerOptions, startOptimizer, stepOf, type OptimizerOptions } from './optimizer.ts';
import { addLowRank } from './tuning.ts';

/** Options of the training entries. Those of the process are DDPM's alone. */
export interface TrainingOptions extends OptimizerOptions, Partial<Pick<DdpmOptions, 'schedule' | 'minSnr'>> {
  /** Share of labels replaced by the null class. */
  readonly labelDropout: number;
}

/** What training does unless told. */
/** A model as training sees it. */
export interface Trainee extends Denoiser {
  /** Share of labels dropped unless told. */
  readonly labelDropout: number;
}

/** Parts of the range of t that losses are reported by. */
const PARTS = 8;

/** The options of an entry, checked. @throws DitcError `config`. */
function trainingOptions(given: EntryOptions, model: Trainee): TrainingOptions {
  const labelDropout = realNumber('labelDropout', given.labelDropout ?? model.labelDropout, 0, 1);
  if (labelDropout > 0 && !hasNothing(model)) {
    const fix = 'train with labelDropout 0, or build the model with classDropoutProb above 0';
    throw misconfigured(`labelDropout is ${labelDropout}`, 'the model has no null class to put in their place', fix);
  }
  return { ...optimizerOptions(given), labelDropout };
}

/** What a step draws for its batch. */
interface Draws {
  /** [N], times as the objective has them. */
  readonly t: Tensor;
  /** [N,C,I,I], N(0,1). */
  readonly noise: Tensor;
  /** [N] bool: whether the label is dropped. */
  readonly drop: Tensor;
}

/** Added to the counter of an element, so that no draw of training is one of sampling. No image has so many elements. */
const TRAINING = 0x80000000;

/**
 * Philox's key is the seed (low word, high word), its counters are (2³¹ + element of the image, index of the image in the
 * update's batch, updates done). Words 0 and 1 of an element make its noise; of element 0, word 2 makes a uniform t and word 3 the
 * drop. A t from a normal number is made of the words of the element after the last.
 */
export function draw(
  e: Entry,
  model: Pick<Trainee, 'channels' | 'size'>,
  { labelDropout, accumulate }: Pick<TrainingOptions, 'labelDropout' | 'accumulate'>,
  trainer: Pick<Trainer, 'drawTimes'>,
): Draws {
  const before = accumulate > 1 ? batchOf(e).cast('u32').mul(e.batch) : constant(0, [], 'u32');
  return drawFor(e, model, { labelDropout, first: before, update: stepOf(e).cast('u32') }, trainer);
}

/** The draws of images numbered from `first` on, in an update. */
function drawFor(
  e: Entry,
  { channels, size }: Pick<Trainee, 'channels' | 'size'>,
  { labelDropout, first, update }: { labelDropout: number; first: Tensor; update: Tensor },
  { drawTimes }: Pick<Trainer, 'drawTimes'>,
): Draws {
  const [N, image] = [e.batch, [channels, ...sidesOf(size)]];
  const [low, high] = e.input('seed', [2], 'u32').unstack();
  const index = iota([N], 0, 'u32').add(first);
  const source = (element: Tensor, of: Tensor): RandomSource => ({
    key: [low, high],
    counter: [element.add(TRAINING), of, update],
  });
  const perImage = source(constant(0, [N], 'u32'), index);
  const count = image.reduce((a, b) => a * b);
  const elements = iota([count], 0, 'u32').reshape(1, ...image);
  return {
    t: drawTimes({
      uniform: () => randomUniform(perImage, 2),
      normal: () => randomNormal(source(constant(count, [N], 'u32'), index)),
    }),
    noise: randomNormal(source(elements, index.reshape(N, 1, 1, 1))),
    drop: randomUniform(perImage, 3).lt(labelDropout),
  };
}

/** The draws, as inputs. */
function given(e: Entry, { channels, size }: Trainee, { timeType }: Trainer): Draws {
  return {
    t: e.input('t', [e.batch], timeType),
    noise: e.input('noise', [e.batch, channels, ...sidesOf(size)]),
    drop: e.input('drop', [e.batch], 'i32').ne(0),
  };
}

/** What the objective makes of the batch. */
function losses(e: Entry, model: Trainee, trainer: Trainer, { t, noise, drop }: Draws): Losses {
  const { channels, size, classes, nullClass } = model;
  const images = e.input('images', [e.batch, channels, ...sidesOf(size)]);
  const labels = e.input('labels', [e.batch], 'i32', { classes });
  const y = nullClass === undefined ? labels : where(drop, nullClass, labels);
  const told = changed(model, conditionsOf(e, model), (own, { nothing }) => {
    const none = nothing?.(e.params);
    return none ? where(drop.reshape(e.batch, ...none.shape.slice(1).map(() => 1)), none, own) : own;
  });
  return trainer.losses(t, images, noise, (x, timestep) =>
    splitPrediction(model.predict(e.params, x, timestep, y, told), channels),
  );
}

/** Sums of the terms, and images, by eighths of the range of t: [8] each. */
function byTimestep(part: Tensor, { mse, vb }: Losses): Record<string, Tensor> {
  const isIn = part.unsqueeze(0).eq(iota([PARTS, 1], 0, 'i32'));
  const sumOf = (x: Tensor) => where(isIn, x.unsqueeze(0), 0).sum(1);
  return { mseByT: sumOf(mse), ...(vb && { vbByT: sumOf(vb) }), countByT: sumOf(constant(1, part.shape)) };
}

type Drawing = (options: TrainingOptions, trainer: Trainer) => Draws;

function trainStep(e: Entry, model: Trainee, drawFor: Drawing): Record<string, Tensor> {
  const options = trainingOptions(e.options, model);
  addLowRank(e, options);
  const trainer = objectiveOf(model).trainer(e.options);
  const draws = drawFor(options, trainer);
  const terms = losses(e, model, trainer, draws);
  const { mse, vb } = terms;
  const loss = terms.loss.mean();
  const update = optimize(e, options, loss);
  const means = { loss, mse: mse.mean(), ...(vb && { vb: vb.mean() }) };
  return { ...means, ...byTimestep(trainer.part(draws.t, PARTS), terms), ...update };
}

/** An update that no training reaches: its counter is an i32. */
const VALIDATION = 0xffffffff;

/** The losses of images that keep their labels, with times and noise that depend on the seed and their number alone. */
function validate(e: Entry, model: Trainee): Record<string, Tensor> {
  const options = trainingOptions(e.options, model);
  addLowRank(e, options);
  const trainer = objectiveOf(model).trainer(e.options);
  const at = { labelDropout: 0, first: e.input('first', [], 'u32'), update: constant(VALIDATION, [], 'u32') };
  return { loss: losses(e, model, trainer, drawFor(e, model, at, trainer)).loss };
}

/**
 * Training on batches of N images. `trainStart` makes the average of the weights a copy of them and clears the moments: run
 * it once the weights are set. `trainStep` is a step; `trainStepGiven` is one whose draws are given, for tests and comparisons. `validate` changes nothing.
 *
 * Inputs: images f32[N,C,I,I], labels i32[N]; of `trainStep` and `validate` seed u32[2] (low word first); of `validate` first u32[], the number of the first image; of `trainStepGiven` t i32[N] (by flow
 * matching f32[N], from 0 to 1), noise f32[N,C,I,I], drop i32[N] (1: without its label). The weights are updated in place; other state is that of optimizer.ts.
 * Outputs: loss, mse, vb (bits; where the objective has it) and, with clipping, the option gradNorm or f16, gradNorm f32[], of this batch; lr f32[]; mseByT,
 * vbByT, countByT f32[8], sums by eighths of the range of t; of `validate` loss f32[N]; in a build for f16 lossScale f32[] and skipped i32[] (loss-scale.ts).
 */
export function trainingEntries(
  model: Trainee,
): Record<'trainStart' | 'trainStep' | 'trainStepGiven' | 'validate', EntryFunction> {
  return {
    trainStart(e) {
      const options = trainingOptions(e.options, model);
      // Only the parameters that it declares are wanted: nobody reads the result.
      const { channels, size, conditions = [] } = model;
      const told = Object.fromEntries(
        conditions.map(({ name, shape, dtype }) => [name, constant(0, [1, ...shape], dtype)]),
      );
      for (const { nothing } of conditions) nothing?.(e.params);
      const x = constant(0, [1, channels, ...sidesOf(size)]);
      model.predict(e.params, x, constant(0, [1]), constant(0, [1], 'i32'), told);
      startOptimizer(e, options);
    },
    trainStep: (e) => trainStep(e, model, (options, trainer) => draw(e, model, options, trainer)),
    trainStepGiven: (e) => trainStep(e, model, (_options, trainer) => given(e, model, trainer)),
    validate: (e) => validate(e, model),
  };
}
