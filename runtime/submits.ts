/** Runs on their way into a device's queue: each in as many submits as its driver has patience for, and not too many at once. */
import { timesIn, type Turns } from './parts.ts';
import { encode, type Replay } from './replay.ts';
import { PATIENCE, type Slices } from './slices.ts';

/** Runs queued before the next one waits: keeps the device busy, and the queue from growing without end. */
const MAX_IN_FLIGHT = 4;

/** Dispatches of a submit: a loop of many short turns takes several, so that the device begins while the others are encoded. */
const MOST_DISPATCHES = 4096;

export class Submits {
  readonly #device: GPUDevice;
  readonly #slices: Slices;
  readonly #inFlight: Promise<unknown>[] = [];
  /** Runs that the host has not heard the end of. */
  #pending = 0;

  constructor(device: GPUDevice, slices: Slices) {
    this.#device = device;
    this.#slices = slices;
  }

  /** Submits entries one after the other: in one submit, where all of them together are not too long for it. */
  submit(runs: readonly Turns[], replays: ReadonlyMap<string, Replay>): void {
    const began = performance.now();
    const writer = new Writer(this.#device, this.#slices);
    const write = ({ entry, times, parts }: Turns) => {
      for (let turn = 0; turn < times; turn++) {
        parts.forEach(write);
        writer.write(entry, replays.get(entry)!, times > 1);
      }
    };
    runs.forEach(write);
    writer.end();
    this.#inFlight.push(this.#measured(runs, began));
  }

  /** Resolves as soon as another run may be queued. */
  async room(): Promise<void> {
    if (this.#inFlight.length > MAX_IN_FLIGHT) await this.#inFlight.shift();
  }

  /** The end of what was submitted, however it ends: losing the device rejects what was under way, and is reported elsewhere. */
  async #measured(runs: readonly Turns[], began: number): Promise<void> {
    // Of one that waits for others, a host that is late to hear of those does not know when it began.
    const isAlone = !this.#pending++ && runs.length === 1;
    try {
      await this.#device.queue.onSubmittedWorkDone();
    } catch {
      return;
    } finally {
      this.#pending--;
    }
    if (isAlone) this.#slices.tookTogether(timesIn(runs[0]), performance.now() - began);
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
  write(entry: string, { steps, copies }: Replay, isTurn: boolean): void {
    const ms = this.#slices.milliseconds(entry);
    const isFull = this.#ms + ms > PATIENCE || this.#dispatches + steps.length > MOST_DISPATCHES;
    if (isTurn && this.#dispatches && isFull) this.#cut();
    let from = 0;
    for (const end of this.#slices.of(entry)) {
      encode(this.#encoder, { steps: steps.slice(from, end), copies: [] });
      this.#cut();
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
