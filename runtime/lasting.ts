/**
 * A program that can be had again: where its device is lost, it is opened anew, with the values that were kept of it. What the device
 * alone knew is gone: work goes on from what was kept, or not at all.
 */
import type { Program } from './program.ts';
import type { Values } from './transfer.ts';
import { lossText, throughLoss } from './recovery.ts';

/** A program on a device, and what frees the device. */
export interface Started {
  readonly program: Program;
  release(): void;
}

/** How a program is had again. */
export interface Again {
  /** One like the first, with the values that it began with. */
  start(): Promise<Started>;
  /** Told what happened, and where the work goes on from. */
  onNote?(note: string): void;
}

/** All values of a program, in the host's memory. */
interface Kept {
  readonly params: ReadonlyMap<string, Values>;
  readonly states: ReadonlyMap<string, Values>;
}

export class LastingProgram {
  #started: Started;
  readonly #again: Again | undefined;
  /** None: the values that it began with. */
  #kept: Kept | undefined;
  #isKept = true;

  /** Without `again`, a loss ends the work. */
  constructor(started: Started, again?: Again) {
    this.#started = started;
    this.#again = again;
  }

  get program(): Program {
    return this.#started.program;
  }

  /** Whether the values are those that were kept. */
  get isKept(): boolean {
    return this.#isKept;
  }

  /** Values were changed that no work computes again. */
  changed(): void {
    this.#isKept = false;
  }

  /** Copies all values, which work may go on from. No others are kept until all are read. */
  async keep(): Promise<void> {
    if (!this.#again) return;
    const { program } = this;
    const [params, states] = [new Map<string, Values>(), new Map<string, Values>()];
    for (const { name } of program.manifest.params) params.set(name, await program.readParam(name));
    for (const { name } of program.states) states.set(name, await program.readState(name));
    this.#kept = { params, states };
    this.#isKept = true;
  }

  /**
   * Does `work`, which begins with the values as they are. Where the device is lost under it, there is another one with the values
   * last kept, and `resume` does the rest; it says where that is. If nothing was kept since they changed, the loss is thrown.
   */
  async through<T>(work: () => Promise<T>, resume: () => { readonly from: string; work(): Promise<T> }): Promise<T> {
    const again = this.#isKept ? this.#again : undefined;
    if (!again) return work();
    return throughLoss(work, async (lost) => {
      const rest = resume();
      again.onNote?.(lossText(lost, rest.from));
      await this.#reopen(again);
      return rest.work();
    });
  }

  /**
   * Gives all values others by `set`, and keeps them: all of them or none, for `before` keeps those that there are. Where that fails, they are
   * as before, or as last kept if they are lost. A device that is lost, before or meanwhile, is opened anew; `from` says with what.
   */
  async replace(set: (program: Program) => Promise<void>, before: () => Promise<void>, from: string): Promise<void> {
    const again = this.#again;
    if (!again) return this.#replaceHere(set);
    const all = async () => {
      await set(this.program);
      await this.keep();
    };
    const keepThenAll = async () => {
      await before();
      await all();
    };
    try {
      await throughLoss(keepThenAll, async (lost) => {
        again.onNote?.(lossText(lost, from));
        await this.#reopen(again);
        await all();
      });
    } catch (error) {
      // Half of other values is used by nothing: where they cannot be put back now, the next work does it.
      await this.#reopen(again).catch(() => this.program.device.destroy());
      throw error;
    }
  }

  /** On a device that is someone's: what ends half set is closed. */
  async #replaceHere(set: (program: Program) => Promise<void>): Promise<void> {
    this.changed();
    try {
      await set(this.program);
    } catch (error) {
      this.program.close();
      throw error;
    }
  }

  close(): void {
    this.program.close();
    this.#started.release();
  }

  /** What there is stays until another has all values: where none can be had now, a later work asks again. */
  async #reopen(again: Again): Promise<void> {
    const started = await again.start();
    const { program } = started;
    try {
      for (const [name, values] of this.#kept?.params ?? []) await program.setParam(name, values);
      for (const [name, values] of this.#kept?.states ?? []) await program.setState(name, values);
    } catch (error) {
      program.close();
      started.release();
      throw error;
    }
    this.close();
    this.#started = started;
    this.#isKept = true;
  }
}
