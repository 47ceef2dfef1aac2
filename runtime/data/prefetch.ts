/**
 * Batches for training, read ahead while the device computes. The examples come in the order of order.ts and batches
 * run on across epochs; which examples a batch holds depends on seed and position alone, never on timing. At most
 * `ahead` batches of examples are being read or wait, and one batch is put together in advance.
 */
import { RuntimeError } from '../error.ts';
import type { Values } from '../transfer.ts';
import { isBadExample, writeValues, type Dataset, type Example } from './dataset.ts';
import { after, checkPosition, examplesFrom, START, type Position } from './order.ts';
import { writeTold, type Told } from './told.ts';

export interface Batch {
  /** [N, …shape of an example]. */
  readonly x: Float32Array;
  /** Labels [N]. */
  readonly y: Int32Array;
  /** What the model is told of them besides, [N, …] each. */
  readonly told: Record<string, Values>;
  /** Numbers of the examples [N]. */
  readonly examples: Int32Array;
  /** Where the next batch begins: what a checkpoint taken after this one keeps. */
  readonly next: Position;
}

export interface PrefetchOptions {
  readonly batch: number;
  readonly seed: number;
  readonly position?: Position;
  /** Batches read ahead; 2 unless given. */
  readonly ahead?: number;
  /** Ends the reading: what waits for a batch is rejected with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** An example on its way. */
interface Pending {
  readonly at: Position;
  readonly example: number;
  readonly values: Promise<Read>;
}

type Read = readonly [values: Example, told: Told];

/** The memory of a batch. */
interface Buffers {
  readonly x: Float32Array;
  readonly told: Record<string, Values>;
}

/** Batches without end: `for await`, or `next()`. Closing it leaves the dataset open. */
export class Batches implements AsyncIterableIterator<Batch> {
  readonly #dataset: Dataset;
  readonly #options: PrefetchOptions;
  readonly #size: number;
  readonly #source: ReturnType<typeof examplesFrom>;
  readonly #window: Pending[] = [];
  readonly #spare: Buffers[] = [];
  #upcoming: Promise<Batch> | undefined;
  #position: Position;
  #skippedInARow = 0;
  #closed = false;

  constructor(dataset: Dataset, options: PrefetchOptions) {
    const { batch, seed, position = START } = options;
    if (!Number.isSafeInteger(batch) || batch < 1)
      throw new RuntimeError({ code: 'bad-argument', what: `the batch size is ${batch}`, fix: 'give 1 or more' });
    checkPosition(position, dataset.count);
    this.#dataset = dataset;
    this.#options = options;
    this.#position = position;
    this.#size = dataset.shape.reduce((a, b) => a * b, 1);
    this.#source = examplesFrom(seed, dataset.count, position);
  }

  /** Names of the inputs that batches hold values of. */
  get told(): readonly string[] {
    return this.#dataset.told?.names ?? [];
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** @throws RuntimeError in place of the batch that holds the example at fault; after it, the iteration is over. */
  async next(): Promise<IteratorResult<Batch>> {
    const { signal } = this.#options;
    if (!signal) return this.#advance();
    signal.throwIfAborted();
    let stop = () => {};
    const aborted = new Promise<never>((_, reject) => {
      stop = () => {
        this.#close();
        reject(signal.reason);
      };
      signal.addEventListener('abort', stop);
    });
    try {
      return await Promise.race([this.#advance(), aborted]);
    } finally {
      signal.removeEventListener('abort', stop);
    }
  }

  async #advance(): Promise<IteratorResult<Batch>> {
    if (this.#closed) return { done: true, value: undefined };
    const current = this.#upcoming ?? this.#assemble();
    this.#upcoming = current.then(() => this.#assemble());
    this.#upcoming.catch(() => {}); // told when that batch is asked for
    try {
      return { done: false, value: await current };
    } catch (error) {
      if (this.#closed) return { done: true, value: undefined };
      this.#close();
      throw error;
    }
  }

  async return(): Promise<IteratorResult<Batch>> {
    this.#close();
    return { done: true, value: undefined };
  }

  /** Gives a batch's memory back, to be filled again. A batch that is not given back stays as it is. */
  recycle({ x, told }: Batch): void {
    if (!this.#spare.some((spare) => spare.x === x)) this.#spare.push({ x, told });
  }

  #close(): void {
    this.#closed = true;
    this.#window.length = 0;
    this.#spare.length = 0;
  }

  #fillWindow(): void {
    const { batch, seed, ahead = 2 } = this.#options;
    const most = batch * Math.max(1, ahead);
    while (this.#window.length < most) {
      const { at, example, flip } = this.#source.next().value;
      const draw = { seed, epoch: at.epoch };
      const values = Promise.all([
        this.#dataset.read(example, flip && this.#dataset.flip, draw),
        this.#dataset.told?.read(example) ?? {},
      ]);
      values.catch(() => {}); // told when its turn comes
      this.#window.push({ at, example, values });
    }
  }

  async #assemble(): Promise<Batch> {
    const { batch } = this.#options;
    const { x, told } = this.#spare.pop() ?? { x: new Float32Array(batch * this.#size), told: {} };
    const y = new Int32Array(batch);
    const examples = new Int32Array(batch);
    for (let filled = 0; filled < batch;) {
      if (this.#closed) throw new RuntimeError({ code: 'closed', what: 'the data was closed while a batch was read' });
      this.#fillWindow();
      const { at, example, values } = this.#window.shift()!;
      this.#position = after(at, this.#dataset.count);
      const found = await this.#orSkip(values);
      if (!found) continue;
      writeValues(x, filled * this.#size, found[0]);
      writeTold(told, batch, filled, found[1]);
      y[filled] = this.#dataset.labels[example];
      examples[filled++] = example;
    }
    return { x, y, told, examples, next: this.#position };
  }

  /** The values, or undefined for an example that is to be left out. */
  async #orSkip(values: Promise<Read>): Promise<Read | undefined> {
    try {
      const found = await values;
      this.#skippedInARow = 0;
      return found;
    } catch (error) {
      if (this.#dataset.onBad !== 'skip' || !isBadExample(error)) throw error;
      // A whole epoch's worth without a good one: there is none.
      if (++this.#skippedInARow < this.#dataset.count) return undefined;
      throw new RuntimeError({
        code: 'no-data',
        where: this.#dataset.name,
        what: `none of its ${this.#dataset.count} examples can be read`,
        why: error.message,
        fix: 'check that the files were copied completely',
        cause: error,
      });
    }
  }
}

/** See {@link Batches}. */
export const prefetch = (dataset: Dataset, options: PrefetchOptions): Batches => new Batches(dataset, options);
