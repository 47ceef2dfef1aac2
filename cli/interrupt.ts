/**
 * Ctrl-C: what is under way is undone, and the exit code is 130. The signal is caught only while there is something to
 * undo; at other times Node's own handling ends the process at once, even in the middle of a long compilation.
 */
import { discardUnfinishedWrites } from '../runtime/node/file.ts';

const cleanups = new Set<() => void>();
const SIGNALS = { SIGINT: 130, SIGTERM: 143 } as const;
type Signal = keyof typeof SIGNALS;

function onSignal(signal: NodeJS.Signals): void {
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
