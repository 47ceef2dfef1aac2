/**
 * Training steps on the device: all that a trainer does between two looks. It knows the training entries' signature
 * (models/training.ts) and nothing of the model.
 */
import type { Manifest, TensorSpec } from '../compiler/emit/artefact.ts';
import { addStep, type LowRank } from './checkpoint/low-rank.ts';
import { checkLabels, type Dataset } from './data/dataset.ts';
import { givenDataset, type GivenExamples } from './data/given.ts';
import { START, type Position } from './data/order.ts';
import { prefetch, type Batch, type Batches } from './data/prefetch.ts';
import { toldInputs } from './data/told.ts';
import { RuntimeError } from './error.ts';
import { checkCount, checkEntries, checkOptions, type OptionNames } from './needs.ts';
import type { Program } from './program.ts';
import type { Values } from './transfer.ts';

/** What a model must have to be trained. */
export const TRAINING_ENTRIES = ['trainStart', 'trainStep'] as const;

/** Models without classes have no use for labels. */
export const takesLabels = ({ manifest }: Program): boolean =>
  manifest.entries.trainStep.inputs.some(({ name }) => name === 'labels');

/** Throws where a step takes what the data does not give: it would be zeros. */
function checkInputs({ manifest: { entries } }: Program, told: readonly string[]): void {
  const given = ['images', 'labels', 'seed', ...told];
  const { inputs } = entries.trainStep;
  const other = inputs.find(({ name }) => !given.includes(name));
  if (!other) return;
  const why = `data gives ${given.filter((name) => name !== 'seed').join(', ')}`;
  const fix = toldInputs(inputs).includes(other)
    ? `give a row of it for each example: --input ${other.name}=FILE of ditc train, or data.inputs.${other.name}`
    : 'train it by runs of its entries (ditc run, or model.run), which take any input';
  throw new RuntimeError({ code: 'entry', what: `trainStep also takes ${other.name}`, why, fix });
}

/** Writes what a run of `trainStep` reads, and gives the batch's memory back. */
export function writeBatch(program: Program, batches: Batches, batch: Batch): void {
  program.write('images', batch.x);
  if (takesLabels(program)) program.write('labels', batch.y);
  for (const [name, values] of Object.entries(batch.told)) program.write(name, values);
  batches.recycle(batch);
}

/** Queues steps: `accumulate` batches, and runs of `trainStep`, make one. */
export class TrainingSteps {
  readonly #program: Program;
  readonly #batches: Batches;
  readonly #accumulate: number;

  constructor(program: Program, batches: Batches, { seed, accumulate }: { seed: number; accumulate: number }) {
    checkInputs(program, batches.told);
    this.#program = program;
    this.#batches = batches;
    this.#accumulate = accumulate;
    program.write('seed', Uint32Array.of(seed, Math.floor(seed / 2 ** 32)));
  }

  /** Queues a step, and gives where in the data the next one begins. */
  async take(): Promise<Position> {
    let position: Position = START;
    for (let part = 0; part < this.#accumulate; part++) {
      const { value: batch } = await this.#batches.next();
      writeBatch(this.#program, this.#batches, batch);
      await this.#program.run('trainStep');
      position = batch.next;
    }
    return position;
  }
}

/** The names that averages of the weights have besides `ema`: `ema-0.999`, by the decays that the model was told. */
export const furtherAverages = ({ manifest }: Program): string[] =>
  String(manifest.options?.emas ?? '')
    .split(',')
    .filter(Boolean)
    .map((decay) => `ema-${Number(decay)}`);

/** What the trained model is: the moving average of a parameter, or the parameter itself where the model keeps none; its low-rank step added. */
export async function readAverage(program: Program, name: string, which = 'ema'): Promise<Values> {
  const step = await readLowRank(program, name, which);
  const values = await averageOf(program, name, which);
  return step ? addStep(values as Float32Array, 0, step) : values;
}

async function averageOf(program: Program, name: string, which: string): Promise<Values> {
  const average = `${which}.${name}`;
  if (hasState(program, average)) return program.readState(average);
  return hasState(program, name) ? program.readState(name) : program.readParam(name);
}

const hasState = (program: Program, name: string): boolean => program.states.some((state) => state.name === name);

/** The low-rank step that is trained beside a parameter (models/tuning.ts), if one is. */
export async function readLowRank(program: Program, name: string, which = 'ema'): Promise<LowRank | undefined> {
  const [a, b] = [`lora_A.${name}`, `lora_B.${name}`];
  const first = program.states.find((state) => state.name === a);
  if (!first) return undefined;
  const [left, right] = [await averageOf(program, a, which), await averageOf(program, b, which)] as Float32Array[];
  return { a: left, b: right, rank: first.shape[0], scale: 1 };
}

/** A place between two steps. */
export interface TrainingPlace {
  readonly step: number;
  readonly position: Position;
}

/** What a step measured: `loss`, and whatever other single numbers the model gives, by name. */
export type Measured = Readonly<Record<string, number>> & { readonly loss: number; readonly step: number };

/** How a model is trained; an option that is none of these is refused. */
export interface TrainOptions {
  /** Examples in memory, or a dataset as `openData` opens one, which stays the caller's. */
  readonly data: GivenExamples | Dataset;
  /** Steps to take. */
  readonly steps: number;
  /** Of the order of the examples and of the steps' draws; 0 unless told. */
  readonly seed?: number;
  /** Mirrors half of the examples in memory, another half each epoch. */
  readonly flip?: boolean;
  /** Steps from one call of `onStep` to the next, and to the next look whether all is finite; 1 unless told. */
  readonly every?: number;
  /** Called with what each `every`-th step measured, and the last; what it throws ends the training. */
  readonly onStep?: (measured: Measured) => void;
  /**
   * Steps from one copy of all values in the host's memory to the next: where the device is lost, training goes on from the last. Without,
   * it begins anew from the weights as they were loaded, or ends with the loss, if they are others by now.
   */
  readonly keepEvery?: number;
  /** Ends the training after the step under way: the promise is fulfilled with what was reached. */
  readonly signal?: AbortSignal;
}

/** How far a training came. */
export interface TrainResult extends TrainingPlace {
  /** Of the last step; undefined when none was taken. */
  readonly last?: Measured;
}

const OPTIONS: OptionNames<TrainOptions> = {
  data: true,
  steps: true,
  seed: true,
  flip: true,
  every: true,
  onStep: true,
  keepEvery: true,
  signal: true,
};

/** Throws unless the program can be trained, and so. @throws RuntimeError `entry`, `bad-argument`. */
export function checkTraining(program: Program, options: TrainOptions): void {
  checkOptions('train', options, OPTIONS);
  const { steps, seed = 0, every = 1, keepEvery = 1 } = options;
  checkEntries(program, TRAINING_ENTRIES);
  checkCount('steps', steps, 0);
  checkCount('every', every, 1);
  checkCount('keepEvery', keepEvery, 1);
  checkCount('seed', seed, 0);
}

/** Steps that are taken. */
export interface Course {
  readonly from: TrainingPlace;
  /** The step that they are counted from: before `from` where some were taken, and a device lost. */
  readonly began: number;
  /** Told each place, also where something fails later. */
  reached(place: TrainingPlace): void;
  /** Copies what there is, at each `keepEvery`-th step and the last. */
  keep(): Promise<void>;
}

/**
 * Takes the steps of a course that are left.
 * @throws RuntimeError `mismatch`, `labels`; `not-finite` as soon as it shows; what `onStep` throws.
 */
export async function takeSteps(
  program: Program,
  { from, began, reached, keep }: Course,
  options: TrainOptions,
): Promise<TrainResult> {
  const { steps, seed = 0, every = 1, keepEvery, onStep, signal } = options;
  const [batch, data] = dataFor(program.manifest, options);
  const batches = prefetch(data, { batch, seed, position: from.position });
  const accumulate = Number(program.manifest.options?.accumulate ?? 1);
  let { step, position } = from;
  let last: Measured | undefined;
  try {
    const training = new TrainingSteps(program, batches, { seed, accumulate });
    for (let taken = from.step - began + 1; taken <= steps && !signal?.aborted; taken++) {
      position = await training.take();
      step++;
      reached({ step, position });
      const isLast = taken === steps || signal?.aborted;
      if (isLast || taken % every === 0) {
        last = await measured(program, step);
        onStep?.(last);
      }
      // Told to end while it was measured, it is the last one all the same.
      const ends = isLast || signal?.aborted;
      if (keepEvery && (ends || taken % keepEvery === 0)) await keep();
    }
    return { step, position, last };
  } finally {
    await batches.return();
  }
}

/** The examples of a batch, and where they come from. */
function dataFor({ entries }: Manifest, { data, flip }: TrainOptions): [batch: number, data: Dataset] {
  const { inputs } = entries.trainStep;
  const images = inputs.find(({ name }) => name === 'images');
  if (!images)
    throw new RuntimeError({ code: 'entry', what: 'trainStep takes no images', fix: 'see docs/training.md' });
  const [batch, ...shape] = images.shape;
  const labels = inputs.find(({ name, range }) => name === 'labels' && range);
  checkGiven(data, inputs);
  const classes = labels?.range?.[1];
  const opened = 'read' in data ? data : givenDataset(data, shape, { flip, classes, takes: inputs });
  if (labels) checkLabels(opened.labels, { classes }, opened.name, opened.nameOf);
  if (opened.shape.join() === shape.join()) return [batch, opened];
  const [what, why] = [`an example is [${opened.shape.join(', ')}]`, `the model takes [${shape.join(', ')}]`];
  throw new RuntimeError({ code: 'mismatch', what, why, fix: 'open the data with the shape of the model' });
}

const EXAMPLES: OptionNames<GivenExamples> = { images: true, labels: true, inputs: true };

/** Throws unless there is data, with labels where the model learns them. */
function checkGiven(data: TrainOptions['data'] | undefined, inputs: readonly TensorSpec[]): void {
  const argument = (what: string, fix: string) => new RuntimeError({ code: 'bad-argument', what, fix });
  if (typeof data !== 'object' || data === null)
    throw argument('train has no data', 'give data: { images, labels }, or what openData opens');
  if ('read' in data) return;
  checkOptions('data', data, EXAMPLES, 'key');
  if (data.labels !== undefined || !inputs.some(({ name }) => name === 'labels')) return;
  throw argument('the images have no labels, and the model learns classes', 'give data: { images, labels }');
}

/** All single numbers that the step just run gave. */
async function measured(program: Program, step: number): Promise<Measured> {
  const { outputs } = program.manifest.entries.trainStep;
  const scalars = outputs.filter(({ shape }) => !shape.length);
  const read = scalars.map(async ({ name }) => [name, (await program.readOutput('trainStep', name))[0]] as const);
  const values = { step, ...Object.fromEntries(await Promise.all(read)) } as Measured;
  const found = astray(values);
  if (!found) return values;
  const fix = 'train with a smaller learning rate, or with clipping';
  throw new RuntimeError({ code: 'not-finite', what: found.what, why: found.why, fix });
}

/** Below it steps overflow whatever the loss is scaled by: what is not finite is so before any scaling. As fairseq has it. */
const LEAST_SCALE = 1e-4;

/** What a look at a step measured, where the model measures it. */
interface Look {
  readonly step: number;
  readonly loss?: number | null;
  readonly gradNorm?: number | null;
  readonly lossScale?: number;
  readonly skipped?: number;
}

/**
 * Which measured value says that training went astray, and how that is told. A step whose gradient overflows is left out and
 * the scale halved, in training that scales the loss: that is no failure.
 */
export function astray(look: Look): { readonly name: string; readonly what: string; readonly why: string } | undefined {
  const { step, lossScale, skipped } = look;
  if (lossScale !== undefined && lossScale >= LEAST_SCALE) return undefined;
  const name = (['loss', 'gradNorm'] as const).find((name) => !Number.isFinite(look[name] ?? 0));
  if (!name) return undefined;
  const left = skipped === undefined ? '' : `; ${skipped} steps were left out, whatever the loss was scaled by`;
  const why = `the ${name === 'loss' ? name : 'gradient norm'} is ${look[name]}${left}`;
  return { name, what: `training went astray by step ${step}`, why };
}
