/**
 * How much of a run goes into one submit. Drivers end what keeps a GPU busy for too long at a stretch, and the device with it (Windows
 * after two seconds, Linux after ten): a run is cut where the cost model thinks it longer, and less often once it has been measured. On most
 * devices that is one submit a run.
 */
import type { Dispatch, EntrySpec } from '../compiler/emit/artefact.ts';

/** Milliseconds of a submit: a quarter of the shortest patience, for other programs use the GPU too. */
export const PATIENCE = 500;

/** Rates of a slow integrated GPU, until a run has been measured: operations and bytes a millisecond. */
const OPERATIONS = 100e6;
const BYTES = 10e6;

/** A measured run may take so much longer another time. */
const SAFETY = 2;

export class Slices {
  /** Measured milliseconds for each that is modelled, the least of all runs; by entry, for models are wrong in their own ways. */
  readonly #pace = new Map<string, number>();
  readonly #totals = new Map<string, number>();
  readonly #ends = new Map<string, readonly number[]>();
  readonly #specs: Readonly<Record<string, EntrySpec>>;

  constructor(specs: Readonly<Record<string, EntrySpec>>) {
    this.#specs = specs;
  }

  /** The dispatches of an entry before which a new submit begins, in order; none where one will do. */
  of(entry: string): readonly number[] {
    const known = this.#ends.get(entry);
    if (known) return known;
    const ends = cut(this.#specs[entry].dispatches.map(modelled), this.#pace.get(entry) ?? 1);
    this.#ends.set(entry, ends);
    return ends;
  }

  /** What a run of an entry is thought to take. */
  milliseconds(entry: string): number {
    return this.#modelled(entry) * (this.#pace.get(entry) ?? 1);
  }

  /** A run of an entry took so many milliseconds, waiting included. */
  took(entry: string, ms: number): void {
    const total = this.#modelled(entry);
    const pace = (SAFETY * ms) / total;
    const least = this.#pace.get(entry) ?? Infinity;
    // What took longer than ever waited for something else.
    if (!total || pace >= least) return;
    this.#pace.set(entry, pace);
    this.#ends.delete(entry);
  }

  /** Entries that ran so many times each took so many milliseconds together: the one that is most of it took no more than all. */
  tookTogether(runs: readonly (readonly [entry: string, times: number])[], ms: number): void {
    const share = ([entry, times]: (typeof runs)[number]) => times * this.#modelled(entry);
    const [entry, times] = runs.reduce((most, run) => (share(run) > share(most) ? run : most));
    this.took(entry, ms / times);
  }

  #modelled(entry: string): number {
    const known = this.#totals.get(entry);
    if (known !== undefined) return known;
    const total = this.#specs[entry].dispatches.reduce((sum, dispatch) => sum + modelled(dispatch), 0);
    this.#totals.set(entry, total);
    return total;
  }
}

/** Milliseconds that a dispatch takes by the roofline of the slow GPU. */
const modelled = ({ macs, plannedMacs = macs, bytesRead = 0, bytesWritten = 0 }: Dispatch): number =>
  Math.max((2 * (plannedMacs || 0)) / OPERATIONS, (bytesRead + bytesWritten) / BYTES);

function cut(costs: readonly number[], pace: number): number[] {
  const ends: number[] = [];
  let sum = 0;
  for (const [i, cost] of costs.entries()) {
    const ms = cost * pace;
    if (sum && sum + ms > PATIENCE) {
      ends.push(i);
      sum = 0;
    }
    sum += ms;
  }
  return ends;
}
