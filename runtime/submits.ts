/** Runs on their way into a device's queue: each in as many submits as its driver has patience for, and not too many at once. */
import { timesIn, type Turns } from './parts.ts';
import { encode, type Replay } from './replay.ts';
import { PATIENCE, type Slices } from './slices.ts';

/** Runs queued before the next one waits: keeps the device busy, and the queue from growing without end. */
const MAX_IN_FLIGHT = 4;

/** Dispatches of a submit: a loop of many short turns takes several, so that the device begins while the others are encoded. */
const MOST_DISPATCHES = 4096;

/**
 * Lets timers, signals and what a page hears have their turn, also where the device is faster than the host. Not by a timer: browsers hold
 * those of hidden tabs back, for up to a minute.
 */
const breathe = () =>
  new Promise<void>((resolve) => {
    if (typeof setImmediate === 'function') return void setImmediate(resolve);
    const { port1, port2 } = new MessageChannel();
    const heard = () => {
      port1.close();
      resolve();
    };
    Object.assign(port1, { onmessage: heard });
    port2.postMessage(undefined);
  });

export class Submits {
  readonly #device: GPUDevice;
  readonly #slices: Slices;
  readonly #inFlight: Promise<unknown>[] = [];
  /** What is left of the run that was begun last. */
  #rest: Iterator<void> | undefined;
  /** Runs that the host has not heard the end of. */
  #pending = 0;

  constructor(device: GPUDevice, slices: Slices) {
    this.#device = device;
    this.#slices = slices;
  }

  /** Begins to submit entries one after the other: in one submit, where all of them together are not too long for it. */
  submit(runs: readonly Turns[], replays: ReadonlyMap<string, Replay>): void {
    this.finish();
    this.#rest = this.#pieces(runs, replays);
    this.#advance();
  }

  /**
   * Waits until another run may be queued, and meanwhile submits more of one that is long, as the device gets on with it: memory for its
   * commands stays bounded, and the host is free. What `check` throws may be of another run: the rest is submitted all the same, unless the
   * device is lost.
   */
  async room(check: () => void): Promise<void> {
    try {
      while (this.#rest || this.#inFlight.length > MAX_IN_FLIGHT) {
        if (this.#inFlight.length > MAX_IN_FLIGHT) await this.#inFlight.shift();
        if (this.#rest) await breathe();
        check();
        if (this.#advance()) this.#inFlight.push(this.#device.queue.onSubmittedWorkDone().catch(() => {}));
      }
      check();
    } catch (error) {
      if ((error as { code?: unknown }).code === 'device-lost') this.drop();
      else this.finish();
      throw error;
    }
  }

  /** Submits what is left of a run, all at once: what is queued next comes after it. */
  finish(): void {
    while (this.#advance());
  }

  /** What is left of a run has no device or buffers any more. */
  drop(): void {
    this.#rest = undefined;
  }

  /** Whether more is left. */
  #advance(): boolean {
    if (this.#rest?.next().done) this.#rest = undefined;
    return this.#rest !== undefined;
  }

  /** Stops after each submit but the last. */
  *#pieces(runs: readonly Turns[], replays: ReadonlyMap<string, Replay>): Generator<void> {
    const began = performance.now();
    // Of one that waits for others, a host that is late to hear of those does not know when it began.
    const isAlone = !this.#pending && runs.length === 1;
    const writer = new Writer(this.#device, this.#slices);
    for (const run of runs) yield* written(run, replays, writer);
    writer.end();
    this.#inFlight.push(this.#measured(runs, isAlone ? began : undefined));
  }

  /** The end of what was submitted, however it ends: losing the device rejects what was under way, and is reported elsewhere. */
  async #measured(runs: readonly Turns[], began: number | undefined): Promise<void> {
    this.#pending++;
    try {
      await this.#device.queue.onSubmittedWorkDone();
    } catch {
      return;
    } finally {
      this.#pending--;
    }
    if (began !== undefined) this.#slices.tookTogether(timesIn(runs[0]), performance.now() - began);
  }
}

function* written({ entry, times, parts }: Turns, replays: ReadonlyMap<string, Replay>, to: Writer): Generator<void> {
  for (let turn = 0; turn < times; turn++) {
    for (const part of parts) yield* written(part, replays, to);
    yield* to.write(entry, replays.get(entry)!, times > 1);
  }
}

/** Encodes runs, and submits what it has where it is time to. */
class Writer {
  readonly #device: GPUDevice;
  readonly #slices: Slices;
  #encoder: GPUCommandEncoder;
  /** Of what is encoded and not submitted. */
  #dispatches = 0;
  #ms = 0;

  constructor(device: GPUDevice, slices: Slices) {
    this.#device = device;
    this.#slices = slices;
    this.#encoder = device.createCommandEncoder();
  }

  /** `isTurn`: one of many, which together may be too long for a submit. */
  *write(entry: string, { steps, copies }: Replay, isTurn: boolean): Generator<void> {
    const ms = this.#slices.milliseconds(entry);
    const isFull = this.#ms + ms > PATIENCE || this.#dispatches + steps.length > MOST_DISPATCHES;
    if (isTurn && this.#dispatches && isFull) yield this.#cut();
    let from = 0;
    for (const end of this.#slices.of(entry)) {
      encode(this.#encoder, { steps: steps.slice(from, end), copies: [] });
      yield this.#cut();
      from = end;
    }
    encode(this.#encoder, { steps: from ? steps.slice(from) : steps, copies });
    this.#dispatches += steps.length;
    this.#ms += ms;
  }

  end(): void {
    this.#device.queue.submit([this.#encoder.finish()]);
  }

  #cut(): void {
    this.end();
    this.#encoder = this.#device.createCommandEncoder();
    this.#dispatches = this.#ms = 0;
  }
}
