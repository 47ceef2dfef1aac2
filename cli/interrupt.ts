/**
 * Ctrl-C (SIGINT), a request to end (SIGTERM) and a terminal that was closed (SIGHUP). A signal is caught only while there is
 * something to undo. At all other times the system ends the process at once, also in the middle of a compilation, which
 * runs in one piece and would hear of it at its end. What was caught ends the process by the same signal, as a shell
 * expects: `$?` is 130, 143 or 129, and a loop in a script ends too.
 */
import { constants } from 'node:os';
import { discardAll, onTemporaries } from '../runtime/node/temporary.ts';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** Set while the first signal is to be taken as a request. */
let request: (() => void) | undefined;
/** What is said when a signal ends the process. */
let lastWords: string | undefined;
let listeners = 0;

function onSignal(signal: NodeJS.Signals): void {
  if (request) {
    request();
    request = undefined;
    return;
  }
  discardAll();
  if (lastWords !== undefined) process.stderr.write(`${process.stderr.isTTY ? '\r\x1b[K' : ''}${lastWords}\n`);
  process.off(signal, onSignal);
  process.kill(process.pid, signal);
  // Where another part of the process listens for the signal too, that has not ended it.
  process.exit(128 + constants.signals[signal]);
}

function listen(begin: boolean): void {
  listeners += begin ? 1 : -1;
  if (listeners === 1 && begin) for (const signal of SIGNALS) process.on(signal, onSignal);
  if (listeners === 0) for (const signal of SIGNALS) process.off(signal, onSignal);
}

/** From now on a signal removes what is temporary before it ends the process. */
export const catchSignals = (): void => onTemporaries(listen);

/** Work that may be asked to come to an end of its own: by aborting the signal that it is given. */
export type Stoppable = <T>(work: (stop: AbortSignal) => Promise<T>) => Promise<T>;

/** Runs `work`, which the first signal asks to come to an end. The second ends the process. */
export const stoppable: Stoppable = async (work) => {
  const controller = new AbortController();
  const own = () => controller.abort();
  request = own;
  listen(true);
  try {
    return await work(controller.signal);
  } finally {
    if (request === own) request = undefined;
    listen(false);
  }
};

/** Has a signal that ends the process say so, until the returned function is called. Nothing in one piece may run meanwhile. */
export function withLastWords(words: string): () => void {
  lastWords = words;
  listen(true);
  return () => {
    if (lastWords === undefined) return;
    lastWords = undefined;
    listen(false);
  };
}
