/**
 * Work that waits for what will never come. When nothing is left that could wake the process, Node ends it without a word:
 * its exit code, 13, is all there is. Here such work fails like any other.
 */
import { DitcError } from '../compiler/ir/error.ts';

/** What `work` gives. @throws DitcError `internal` when the process has nothing left to do and `work` is not done. */
export async function settled<T>(work: Promise<T>): Promise<T> {
  let onIdle = () => {};
  const idle = new Promise<never>((_, reject) => {
    onIdle = () => reject(neverDone());
  });
  process.on('beforeExit', onIdle);
  try {
    return await Promise.race([work, idle]);
  } finally {
    process.off('beforeExit', onIdle);
  }
}

const neverDone = (): DitcError =>
  new DitcError({
    code: 'internal',
    what: 'the command came to an end before its work was done',
    why: 'it waits for something that will not come; what it has written so far may be incomplete',
    fix: 'this is a bug in ditc; report it with the command',
  });
