/**
 * The check in a thread of its own. Who needs the verdict waits for it without giving up its turn, so that compiling a model stays
 * synchronous.
 */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { MessageChannel, receiveMessageOnPort, Worker, type MessagePort } from 'node:worker_threads';
import { DitcError, type ErrorParts } from '../ir/index.ts';
import { ModelTypeError } from './check.ts';
import { check, type Subject } from './checking.ts';
import type { Dependencies } from './dependencies.ts';
import type { DisplayBase } from './paths.ts';
import { remember } from './sources.ts';

export interface Job {
  readonly file: string;
  readonly base: DisplayBase;
  readonly port: MessagePort;
  /** 1 when the verdict was sent. */
  readonly done: Int32Array;
}

/** An error of ours, in parts: its class does not go from thread to thread. */
export interface Failure {
  readonly parts: ErrorParts;
  readonly types?: { readonly count: number; readonly pretty: string };
}

export interface Verdict {
  /** Of a file that is right. */
  readonly dependencies?: Dependencies;
  /** What is wrong; neither, when the thread failed. */
  readonly failure?: Failure;
  /** Files by their names in locations. */
  readonly names: ReadonlyMap<string, string>;
}

/** A thread that ended without a word, for lack of memory say, would be waited for without end: after this, the check is done here. */
const LONGEST_MS = 60_000;

/** The code of the thread; undefined where this runs from TypeScript sources, which a thread cannot load. */
function workerFile(): URL | undefined {
  // Not import.meta.url: in a bundle, that is where the source lies (cli/from-sources.mjs).
  const url = (import.meta as { resolve?: (name: string) => string }).resolve?.('./check-worker.js');
  return url !== undefined && existsSync(fileURLToPath(url)) ? new URL(url) : undefined;
}

/** Begins the check of a model file beside this thread, where that can be. Gives what waits for its verdict. */
export function beginCheck(subject: Subject, base: DisplayBase): (() => Dependencies) | undefined {
  const code = workerFile();
  if (!code) return undefined;
  const { port1, port2 } = new MessageChannel();
  const done = new Int32Array(new SharedArrayBuffer(4));
  const workerData: Job = { file: subject.file, base, port: port2, done };
  const worker = new Worker(code, {
    workerData,
    transferList: [port2],
    execArgv: [],
    // Room for what TypeScript makes and forgets: fewer collections of garbage.
    resourceLimits: { maxYoungGenerationSizeMb: 64 },
  });
  // What went wrong shows in its silence.
  worker.on('error', () => {});
  worker.unref();
  port1.unref();
  let verdict: Verdict | undefined;
  return () => {
    verdict ??= received(port1, done);
    if (verdict?.failure) throw errorOf(verdict.failure);
    return verdict?.dependencies ?? check(subject);
  };
}

function received(port: MessagePort, done: Int32Array): Verdict | undefined {
  Atomics.wait(done, 0, 0, LONGEST_MS);
  const verdict = receiveMessageOnPort(port)?.message as Verdict | undefined;
  for (const [name, file] of verdict?.names ?? []) remember(name, file);
  return verdict;
}

function errorOf({ parts, types }: Failure): DitcError {
  const { where, why = '', fix } = parts;
  return types ? new ModelTypeError(where, types.count, why, types.pretty, fix) : new DitcError(parts);
}
