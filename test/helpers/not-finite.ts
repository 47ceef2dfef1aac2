/** Comparing values of which some are no finite numbers. */
import { expect } from 'vitest';
import { relativeError } from './relative-error.ts';

/** Finite numbers agree within an error of all of them, and the others are the same. */
export function expectSame(got: ArrayLike<number>, want: ArrayLike<number>, error: number, what = ''): void {
  const [values, right] = [Array.from(got), Array.from(want)];
  const isFinite = right.map(Number.isFinite);
  expect(
    values.filter((_, i) => !isFinite[i]),
    what,
  ).toEqual(right.filter((_, i) => !isFinite[i]));
  const finite = (all: readonly number[]) => all.filter((_, i) => isFinite[i]);
  expect(relativeError(finite(values), finite(right)), what).toBeLessThanOrEqual(error);
}
