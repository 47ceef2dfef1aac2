/**
 * The training loop: batches in, steps queued, and now and then a look at what the device holds. Between looks nothing is
 * read back and nothing is made on the device, so it never waits for the host and memory stays as it is.
 */
import type { Batches } from '../../runtime/data/prefetch.ts';
import type { Position } from '../../runtime/data/order.ts';
import type { Program } from '../../runtime/program.ts';
import { astray, TrainingSteps } from '../../runtime/train.ts';
import type { MetricsRecord } from '../metrics.ts';
import { NotFinite } from './not-finite.ts';

export interface LoopOptions {
  /** With its values set: those of a checkpoint, or first ones that `trainStart` has seen. */
  readonly program: Program;
  readonly batches: Batches;
  readonly batch: number;
  /** Batches, and runs of `trainStep`, that make a step. */
  readonly accumulate: number;
  readonly seed: number;
  /** Steps done, and where in the data the next one begins. */
  readonly from: { readonly step: number; readonly position: Position };
  readonly steps: number;
  /** The learning rate, for models that do not say it. */
  readonly lr: number;
  /** Every so many steps; never for 0. */
  readonly every: {
    readonly log: number;
    readonly checkpoint: number;
    readonly sample: number;
    readonly validate: number;
  };
  readonly stop: AbortSignal;
  /** Called after each step has been queued. */
  onStep(step: number): void;
  onRecord(record: MetricsRecord): void;
  /** Called where a checkpoint is due, and at the end: the device then is at that very step, and so is what was measured. */
  onCheckpoint(at: Place, measured?: MetricsRecord): Promise<void>;
  onSample(step: number): Promise<void>;
  /** The loss on what is held out, of the weights as they are; undefined when `stop` came first. */
  onValidate(): Promise<number | undefined>;
}

/** A place between two steps. */
export interface Place {
  readonly step: number;
  readonly position: Position;
}

export interface LoopResult extends Place {
  /** Of the last step; undefined when none was taken. */
  readonly last?: MetricsRecord;
}

/** Trains to `steps`, or until `stop`. @throws NotFinite as soon as a look shows it. */
export async function trainLoop(options: LoopOptions): Promise<LoopResult> {
  const { program, batches, steps, every, stop } = options;
  const watch = new Stopwatch();
  let { step, position } = options.from;
  let last: MetricsRecord | undefined;
  let saved = step;
  // The last step that is known to have been right.
  let good = step;
  const training = new TrainingSteps(program, batches, options);

  const look = async (at: Place, validates: boolean): Promise<void> => {
    last = await measure(program, at, options.lr, () => watch.lap(at.step) * options.batch * options.accumulate);
    const wrong = astray(last);
    if (validates && !wrong) await watch.pause(async () => void (last = { ...last!, val: await options.onValidate() }));
    if (validates || (every.log && at.step % every.log === 0)) options.onRecord(last);
    if (wrong) throw new NotFinite(at.step, wrong.name, wrong.what, wrong.why, good);
    good = at.step;
  };
  const due = (interval: number) => interval > 0 && step % interval === 0;
  // Looked at while the next step runs already.
  let looking: Promise<void> | undefined;
  while (step < steps && !stop.aborted) {
    position = await training.take();
    step++;
    // In the first step drivers compile the kernels, which says nothing of the others.
    if (watch.idle) {
      await program.sync();
      watch.start(step);
    }
    options.onStep(step);
    await looking;
    looking = undefined;
    const [checkpointDue, sampleDue] = [due(every.checkpoint) || step === steps, due(every.sample)];
    const validateDue = due(every.validate);
    if (due(every.log) || checkpointDue || validateDue || stop.aborted) looking = look({ step, position }, validateDue);
    looking?.catch(() => {}); // told when it is awaited
    if (!checkpointDue && !sampleDue && !validateDue) continue;
    await looking;
    looking = undefined;
    await watch.pause(async () => {
      // The checkpoint last: who goes on from it finds all that was due until then.
      if (sampleDue) await options.onSample(step);
      if (checkpointDue) await options.onCheckpoint({ step, position }, last);
      if (checkpointDue) saved = step;
    });
  }
  await looking;
  await program.sync();
  // What was asked to end in a step's wake has not looked at it.
  if (saved !== step && last?.step !== step) await look({ step, position }, false);
  if (saved !== step) await options.onCheckpoint({ step, position }, last);
  return { step, position, last };
}

const SCALARS = ['loss', 'mse', 'vb', 'gradNorm', 'lr', 'lossScale', 'skipped'] as const;
const OUTPUTS = [...SCALARS, 'mseByT', 'vbByT', 'countByT'] as const;

/** What the step just run measured. All copies are queued before anything is waited for. */
async function measure(
  program: Program,
  { step, position }: Place,
  lr: number,
  imagesPerSecond: () => number,
): Promise<MetricsRecord> {
  const scalars = program.manifest.entries.trainStep.outputs.filter(
    ({ dtype, shape }) => dtype === 'f32' && !shape.length,
  );
  const known = program.manifest.entries.trainStep.outputs.map(({ name }) => name);
  const others = scalars.map(({ name }) => name).filter((name) => !OUTPUTS.includes(name as (typeof OUTPUTS)[number]));
  const reads = [...OUTPUTS.filter((name) => known.includes(name)), ...others].map(
    async (name) => [name, Array.from(await program.readOutput('trainStep', name))] as const,
  );
  const values: Partial<Record<string, number[]>> = Object.fromEntries(await Promise.all(reads));
  const { loss, mse, vb, gradNorm, lossScale, skipped, mseByT, vbByT, countByT } = values;
  const means = (sums: number[]) => sums.map((sum, i) => (countByT![i] > 0 ? sum / countByT![i] : null));
  return {
    step,
    epoch: position.epoch,
    loss: loss![0],
    mse: mse?.[0] ?? null,
    vb: vb?.[0] ?? null,
    ...(mseByT && countByT && { buckets: { mse: means(mseByT), ...(vbByT && { vb: means(vbByT) }) } }),
    ...(others.length && { more: Object.fromEntries(others.map((name) => [name, values[name]![0]])) }),
    gradNorm: gradNorm?.[0] ?? null,
    lr: values.lr?.[0] ?? lr,
    ...(lossScale && { lossScale: lossScale[0] }),
    ...(skipped && { skipped: skipped[0] }),
    wall: { time: new Date().toISOString(), imagesPerSecond: Number(imagesPerSecond().toPrecision(4)) },
  };
}

/** Steps per second since the lap before, pauses left out. */
class Stopwatch {
  #since = 0;
  #step: number | undefined;
  #rate = 0;

  get idle(): boolean {
    return this.#step === undefined;
  }

  start(step: number): void {
    [this.#since, this.#step] = [performance.now(), step];
  }

  /** A lap without a step has the rate of the one before. */
  lap(step: number): number {
    if (this.#step !== undefined && step > this.#step) {
      this.#rate = (step - this.#step) / ((performance.now() - this.#since) / 1000);
      this.start(step);
    }
    return this.#rate;
  }

  async pause(work: () => Promise<void>): Promise<void> {
    const began = performance.now();
    await work();
    this.#since += performance.now() - began;
  }
}
