/** The thread of check-thread.ts: prepares a model file, then checks it. */
import { workerData } from 'node:worker_threads';
import { DitcError } from '../ir/index.ts';
import { ModelTypeError } from './check.ts';
import type { Failure, Job, Message } from './check-thread.ts';
import { check } from './checking.ts';
import { compiledModules, prepare } from './modules.ts';
import { displayPath } from './paths.ts';

const { file, base, port, sent } = workerData as Job;
const names = new Map<string, string>();

function display(name: string): string {
  const shown = displayPath(name, base);
  names.set(shown, name);
  return shown;
}

function send(message: Message): void {
  port.postMessage({ ...message, names: [...names] });
  Atomics.add(sent, 0, 1);
  Atomics.notify(sent, 0);
}

/** What `work` gives, or how it failed. */
function outcome<T>(work: () => T): { readonly value: T } | { readonly failure: Failure } {
  try {
    return { value: work() };
  } catch (error) {
    return { failure: failureOf(error) };
  }
}

function failureOf(error: unknown): Failure {
  if (!(error instanceof DitcError)) return { message: error instanceof Error ? String(error.stack) : String(error) };
  const { code, what, where, why, fix } = error;
  const types = error instanceof ModelTypeError ? { count: error.count, pretty: error.pretty } : undefined;
  return { parts: { code, what, where, why, fix }, types };
}

send({ prepared: outcome(() => prepare(file, compiledModules(display))) });
send({ dependencies: outcome(() => check({ file, cwd: base.cwd, display })) });
