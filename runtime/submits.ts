/** Runs on their way into a device's queue: each in as many submits as its driver has patience for, and not too many at once. */
import { encode, type Replay } from './replay.ts';
import type { Slices } from './slices.ts';

/** Runs queued before the next one waits: keeps the device busy, and the queue from growing without end. */
const MAX_IN_FLIGHT = 4;

/** An entry by its name, ready to run. */
export type Named = readonly [entry: string, replay: Replay];

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

  /** Submits entries one after the other: in one submit, where none of them is too long for it. */
  submit(runs: readonly Named[]): void {
    let encoder = this.#device.createCommandEncoder();
    const commands: GPUCommandBuffer[] = [];
    for (const [entry, { steps, copies }] of runs) {
      let from = 0;
      for (const end of this.#slices.of(entry)) {
        encode(encoder, { steps: steps.slice(from, end), copies: [] });
        commands.push(encoder.finish());
        encoder = this.#device.createCommandEncoder();
        from = end;
      }
      encode(encoder, { steps: from ? steps.slice(from) : steps, copies });
    }
    commands.push(encoder.finish());
    for (const each of commands) this.#device.queue.submit([each]);
    this.#inFlight.push(this.#measured(runs));
  }

  /** Resolves as soon as another run may be queued. */
  async room(): Promise<void> {
    if (this.#inFlight.length > MAX_IN_FLIGHT) await this.#inFlight.shift();
  }

  /** The end of what was submitted, however it ends: losing the device rejects what was under way, and is reported elsewhere. */
  async #measured(runs: readonly Named[]): Promise<void> {
    const submitted = performance.now();
    // Of one that waits for others, a host that is late to hear of those does not know when it began.
    const isAlone = !this.#pending++ && runs.length === 1;
    try {
      await this.#device.queue.onSubmittedWorkDone();
    } catch {
      return;
    } finally {
      this.#pending--;
    }
    if (isAlone) this.#slices.took(runs[0][0], performance.now() - submitted);
  }
}
