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
