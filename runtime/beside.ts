/** Promises whose ends are waited for. */

/** What `main` gives, when `other` is done too. Fails when both have come to an end: until then, both use what is theirs. */
export async function beside<T>(main: Promise<T>, other: Promise<void> = Promise.resolve()): Promise<T> {
  await Promise.allSettled([main, other]);
  const result = await main;
  await other;
  return result;
}

/** A promise's end, however it ends: losing the device rejects what was under way, and is reported once elsewhere. */
export const settled = (promise: Promise<unknown>): Promise<unknown> => promise.catch(() => undefined);

/** What a promise gives; once the signal is aborted its reason, at once, whatever becomes of the promise. */
export async function unlessAborted<T>(promise: Promise<T>, signal?: AbortSignal): Promise<T> {
  if (!signal) return promise;
  let stop = () => {};
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason as Error);
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop);
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
