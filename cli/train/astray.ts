/**
 * Why a training went astray: the steps since the last checkpoint are taken again, bit by bit the same, up to the first
 * whose result is not finite; that one, dispatch by dispatch, back to the kernel that made the first such value; and
 * that kernel is checked against the float64 reference, as `ditc verify` does.
 */
import type { EntryInput } from '../../compiler/emit/build.ts';
import type { Node } from '../../compiler/ir/index.ts';
import type { Batches } from '../../runtime/data/prefetch.ts';
import type { Position } from '../../runtime/data/order.ts';
import type { Program } from '../../runtime/program.ts';
import { checkDispatch, type Check, type Job } from '../verify/check.ts';
import { originOf, traceRun, type Trace } from '../verify/trace.ts';
import { writeBatch } from '../../runtime/train.ts';
import type { Place } from './loop.ts';
import type { NotFinite } from './not-finite.ts';

/** What it takes to take steps again. */
export interface Repeat {
  readonly program: Program;
  /** `trainStep` as it was compiled. */
  readonly entry: EntryInput;
  /** Runs of `trainStep` in a step. */
  readonly accumulate: number;
  /** Sets the device to where this training began, or went on from. */
  restore(): Promise<Place>;
  /** Keeps what the device holds at a place; what it returns sets it so again. */
  snapshot(at: Place): Promise<() => Promise<void>>;
  batchesFrom(position: Position): Batches;
  readonly stop: AbortSignal;
  readonly onProgress: (step: number) => void;
}

/** The first value that was not finite. */
export type Finding =
  | { readonly step: number; readonly check: Check }
  /** It was there before: an input, or a parameter or state as it was when training began. */
  | { readonly step: number; readonly value: string };

/** Undefined when the same steps give finite values this time: then the device does not compute the same twice. */
export async function findOrigin(repeat: Repeat, failure: NotFinite): Promise<Finding | undefined> {
  const steps = new Steps(repeat);
  try {
    await steps.begin(await repeat.restore());
    // Two steps are followed: what a step leaves in a parameter is seen in the loss of the next.
    const known = failure.good === undefined ? failure.step - 2 : failure.good - 1;
    await steps.advance(known);
    const before = steps.place;
    const back = await repeat.snapshot(before);
    const failed = failure.good === undefined ? failure.step : await steps.firstNotFinite(failure);
    if (failed === undefined) return undefined;

    const rewind = async (step: number) => {
      await back();
      await steps.begin(before);
      await steps.advance(step);
    };
    await rewind(failed - 2);
    const first = steps.place.step;
    const runs = await steps.trace(failed);
    const origin = originOf(repeat.entry, runs, resultNode(repeat.entry, failure.value));
    if (!origin) return undefined;
    const step = first + Math.floor(origin.run / repeat.accumulate) + 1;
    if (!('index' in origin)) return { step, value: origin.name };

    await rewind(step - 1);
    return { step, check: await steps.check(origin.run % repeat.accumulate, origin.index) };
  } finally {
    await steps.close();
  }
}

/** The value of an output, or the next value of a parameter or state. */
function resultNode({ graph }: EntryInput, name: string): Node {
  const output = graph.outputs.find((out) => out.name === name);
  return output?.node ?? graph.updates.find(({ state }) => state.attrs.name === name)!.node;
}

/** Steps of a training, taken one by one. */
class Steps {
  #place: Place = { step: 0, position: { epoch: 0, index: 0 } };
  #batches: Batches | undefined;

  constructor(private readonly repeat: Repeat) {}

  get place(): Place {
    return this.#place;
  }

  async begin(place: Place): Promise<void> {
    await this.close();
    this.#place = place;
    this.#batches = this.repeat.batchesFrom(place.position);
  }

  async close(): Promise<void> {
    await this.#batches?.return();
    this.#batches = undefined;
  }

  async advance(to: number): Promise<void> {
    while (this.#place.step < to) await this.#step(() => this.repeat.program.run('trainStep'));
  }

  /** The first step from here on, up to that of the failure, after which the output is not finite. */
  async firstNotFinite({ step, value }: NotFinite): Promise<number | undefined> {
    while (this.#place.step < step) {
      await this.advance(this.#place.step + 1);
      const [result] = await this.repeat.program.readOutput('trainStep', value);
      if (!Number.isFinite(result)) return this.#place.step;
    }
    return undefined;
  }

  /** Takes steps and follows all runs in them. */
  async trace(to: number): Promise<Trace[]> {
    const { program, entry, stop } = this.repeat;
    const runs: Trace[] = [];
    while (this.#place.step < to)
      await this.#step(async () => void runs.push(await traceRun(program, entry, () => stop.throwIfAborted())));
    return runs;
  }

  /** Checks one dispatch of a run in the next step. */
  async check(run: number, index: number): Promise<Check> {
    const { program, entry } = this.repeat;
    for (let part = 0; part < run; part++) await this.#run(() => program.run('trainStep'));
    let check: Check | undefined;
    await this.#run(async () => {
      const stepper = program.stepper('trainStep');
      stepper.run(0, index);
      const dispatch = program.manifest.entries.trainStep.dispatches[index];
      const job: Job = { entry: 'trainStep', index, dispatch, region: entry.regions[index].region };
      check = await checkDispatch(stepper, job);
    });
    return check!;
  }

  async #step(run: () => Promise<void>): Promise<void> {
    let position = this.#place.position;
    for (let part = 0; part < this.repeat.accumulate; part++) position = await this.#run(run);
    this.#place = { step: this.#place.step + 1, position };
    this.repeat.onProgress(this.#place.step);
  }

  /** Runs on the next batch; gives where in the data the one after it begins. */
  async #run(run: () => Promise<void>): Promise<Position> {
    this.repeat.stop.throwIfAborted();
    const { value: batch } = await this.#batches!.next();
    const { program } = this.repeat;
    writeBatch(program, this.#batches!, batch);
    await run();
    return batch.next;
  }
}
