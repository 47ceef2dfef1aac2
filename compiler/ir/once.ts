/** A value that is made when it is first asked for: what takes time and may not be needed at all. */
export function once<T extends object>(make: () => T): () => T {
  let made: T | undefined;
  return () => (made ??= make());
}
