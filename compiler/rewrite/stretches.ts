/** Stretches: parts of a value that are all of it between two places along one axis. */
import { sizeOf, type Node, type Shape } from '../ir/index.ts';
import { attrList } from '../ops/index.ts';

export interface Stretch {
  readonly axis: number;
  readonly from: number;
  readonly to: number;
}

/** Where a slice lies that cuts one axis; undefined for any other value. */
export function stretchOf({ op, attrs, type, inputs: [whole] }: Node): Stretch | undefined {
  if (op !== 'slice' || attrList(attrs, 'step').some((step) => step !== 1)) return undefined;
  const [axis, ...others] = type.shape.flatMap((n, i) => (n === whole.type.shape[i] ? [] : [i]));
  if (axis === undefined || others.length) return undefined;
  const from = attrList(attrs, 'start')[axis];
  return { axis, from, to: from + type.shape[axis] };
}

/** Whether stretches are of one axis, and none meets another. */
export function areApart(stretches: readonly Stretch[]): boolean {
  const inOrder = [...stretches].sort((a, b) => a.from - b.from);
  return inOrder.every(({ axis, from }, i) => axis === inOrder[0].axis && (i === 0 || from >= inOrder[i - 1].to));
}

/** The same stretch of a value of shape `before` reshaped to `after`, where its axis stays or is cut into several, at the first of them. */
export function acrossReshape(before: Shape, after: Shape, { axis, from, to }: Stretch): Stretch | undefined {
  const inner = (shape: Shape, a: number) => sizeOf(shape.slice(a + 1));
  const unit = inner(before, axis);
  const isWhole = (n: number, a: number) => (n * unit) % inner(after, a) === 0;
  const fits = (n: number, a: number) =>
    n * inner(after, a) === before[axis] * unit && isWhole(from, a) && isWhole(to - from, a);
  const other = after.findIndex(fits);
  if (other < 0) return undefined;
  const block = inner(after, other) / unit;
  return { axis: other, from: from / block, to: to / block };
}
