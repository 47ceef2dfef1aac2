/**
 * Decodes pictures in worker threads, so that the thread which feeds the GPU never waits for one. With no workers they
 * are decoded in this thread, a few at a time. Order and content of the answers do not depend on the number of workers.
 */
import { Worker } from 'node:worker_threads';
import type { ImageShape } from '../../data/fit.ts';
import { RuntimeError, type RuntimeErrorParts } from '../../error.ts';
import { decodeImage } from './decode.ts';

export interface Task {
  readonly id: number;
  readonly path: string;
  readonly shape: ImageShape;
}

export interface Answer {
  readonly id: number;
  readonly bytes?: Uint8Array;
  readonly failed?: RuntimeErrorParts;
}

/** While one picture is cropped, the next is read and decoded in libvips's own threads. */
const TASKS_PER_WORKER = 2;

interface Waiting {
  readonly task: Task;
  resolve(bytes: Uint8Array): void;
  reject(error: unknown): void;
}

/** Somewhere pictures are decoded. */
interface Place {
  readonly doing: Map<number, Waiting>;
  start(waiting: Waiting): void;
  stop(): Promise<unknown>;
}

export class DecodePool {
  readonly #queue: Waiting[] = [];
  readonly #places: Place[];
  #serial = 0;
  #failure: RuntimeError | undefined;

  constructor(workers: number) {
    const count = Math.max(1, workers);
    this.#places = Array.from({ length: count }, () => (workers > 0 ? this.#worker() : this.#here()));
  }

  /** @throws RuntimeError `bad-example` when this file is at fault. */
  decode(path: string, shape: ImageShape): Promise<Uint8Array> {
    if (this.#failure) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      this.#queue.push({ task: { id: this.#serial++, path, shape }, resolve, reject });
      this.#assign();
    });
  }

  /** Ends the workers; what is still waiting is rejected. */
  async close(): Promise<void> {
    this.#fail(new RuntimeError({ code: 'closed', what: 'the data was closed while it was read' }));
    await Promise.all(this.#places.map((place) => place.stop()));
  }

  #assign(): void {
    for (let next = this.#queue[0]; next; next = this.#queue[0]) {
      const place = this.#places.reduce((a, b) => (b.doing.size < a.doing.size ? b : a));
      if (place.doing.size >= TASKS_PER_WORKER) return;
      this.#queue.shift();
      place.doing.set(next.task.id, next);
      place.start(next);
    }
  }

  #done(place: Place, id: number, settle: (waiting: Waiting) => void): void {
    const waiting = place.doing.get(id);
    if (!waiting) return;
    place.doing.delete(id);
    settle(waiting);
    this.#assign();
  }

  #here(): Place {
    const place: Place = {
      doing: new Map(),
      start: ({ task }) =>
        void decodeImage(task.path, task.shape).then(
          (bytes) => this.#done(place, task.id, ({ resolve }) => resolve(bytes)),
          (error) => this.#done(place, task.id, ({ reject }) => reject(error)),
        ),
      stop: async () => {},
    };
    return place;
  }

  #worker(): Place {
    const worker = new Worker(new URL('./decode-worker.mjs', import.meta.url), { execArgv: [] });
    let ending: Promise<unknown> | undefined;
    const place: Place = {
      doing: new Map(),
      start({ task }) {
        worker.ref();
        worker.postMessage(task);
      },
      stop: () => (ending ??= worker.terminate()),
    };
    worker.on('message', ({ id, bytes, failed }: Answer) => {
      this.#done(place, id, ({ resolve, reject }) => (bytes ? resolve(bytes) : reject(new RuntimeError(failed!))));
      // An idle worker keeps no process alive. One that is being ended does: somebody waits for its end, and an answer that
      // was on its way must not let the process go before it.
      if (!place.doing.size && !ending) worker.unref();
    });
    worker.on('error', (error) => this.#fail(crashed(error)));
    worker.on('exit', () => this.#fail(crashed(new Error('it ended'))));
    worker.unref();
    return place;
  }

  #fail(failure: RuntimeError): void {
    this.#failure ??= failure;
    for (const { reject } of this.#queue.splice(0)) reject(this.#failure);
    for (const { doing } of this.#places ?? []) {
      for (const { reject } of doing.values()) reject(this.#failure);
      doing.clear();
    }
  }
}

function crashed(error: Error): RuntimeError {
  const fix = 'there may be too little memory: use fewer workers';
  return new RuntimeError({ code: 'io', what: 'a decoding thread stopped', why: error.message, fix, cause: error });
}
