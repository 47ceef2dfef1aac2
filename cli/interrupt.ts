/**
 * Ctrl-C: what is under way is undone, and the exit code is 130. The signal is caught only while there is something to
 * undo; at other times Node's own handling ends the process at once, even in the middle of a long compilation.
 */
import { discardUnfinishedWrites } from '../runtime/node/file.ts';

const cleanups = new Set<() => void>();
const SIGNALS = { SIGINT: 130, SIGTERM: 143 } as const;
type Signal = keyof typeof SIGNALS;

/** Set while the first signal is to be taken as a request. */
let request: (() => void) | undefined;

function onSignal(signal: NodeJS.Signals): void {
  if (request) {
    request();
    request = undefined;
    return;
  }
  for (const cleanup of [...cleanups].reverse()) cleanup();
  discardUnfinishedWrites();
  process.exit(SIGNALS[signal as Signal]);
}

/** Runs `work`; when a signal ends the process meanwhile, `cleanup` (synchronous) runs first. */
export async function interruptible<T>(work: () => Promise<T>, cleanup: () => void = () => {}): Promise<T> {
  if (!cleanups.size) for (const signal of Object.keys(SIGNALS)) process.on(signal, onSignal);
  const own = () => cleanup();
  cleanups.add(own);
  try {
    return await work();
  } finally {
    cleanups.delete(own);
    if (!cleanups.size) for (const signal of Object.keys(SIGNALS)) process.off(signal, onSignal);
  }
}

/** Runs `work`, which the first signal asks to come to an end of its own: it aborts `stop`. The second ends the process. */
export async function stoppable<T>(work: (stop: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  request = () => controller.abort();
  try {
    return await interruptible(() => work(controller.signal));
  } finally {
    request = undefined;
  }
}
