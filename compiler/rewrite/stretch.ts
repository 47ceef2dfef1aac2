/** Stretches: parts of a value that are all of it between two places along one axis. */
import { sizeOf, type Shape } from '../ir/index.ts';

export interface Stretch {
  readonly axis: number;
  readonly start: number;
  readonly size: number;
}

/** The same stretch of a value of shape `from` reshaped to `to`, where its axis stays or is cut into several, at the first of them. */
export function acrossReshape(from: Shape, to: Shape, { axis, start, size }: Stretch): Stretch | undefined {
  const inner = (shape: Shape, a: number) => sizeOf(shape.slice(a + 1));
  const unit = inner(from, axis);
  const isWhole = (n: number, a: number) => (n * unit) % inner(to, a) === 0;
  const other = to.findIndex((n, a) => n * inner(to, a) === from[axis] * unit && isWhole(start, a) && isWhole(size, a));
  if (other < 0) return undefined;
  const block = inner(to, other) / unit;
  return { axis: other, start: start / block, size: size / block };
}
