/** The thread of check-thread.ts. */
import { workerData } from 'node:worker_threads';
import { DitcError } from '../ir/index.ts';
import { ModelTypeError } from './check.ts';
import type { Failure, Job, Verdict } from './check-thread.ts';
import { check } from './checking.ts';
import { displayPath } from './paths.ts';

const { file, base, port, done } = workerData as Job;
const names = new Map<string, string>();

function display(name: string): string {
  const shown = displayPath(name, base);
  names.set(shown, name);
  return shown;
}

function verdict(): Verdict {
  try {
    return { dependencies: check({ file, cwd: base.cwd, display }), names };
  } catch (error) {
    return { failure: failureOf(error), names };
  }
}

function failureOf(error: unknown): Failure | undefined {
  if (!(error instanceof DitcError)) return undefined;
  const { code, what, where, why, fix } = error;
  const types = error instanceof ModelTypeError ? { count: error.count, pretty: error.pretty } : undefined;
  return { parts: { code, what, where, why, fix }, types };
}

port.postMessage(verdict());
Atomics.store(done, 0, 1);
Atomics.notify(done, 0);
