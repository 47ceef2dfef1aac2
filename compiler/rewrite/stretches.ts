/** Pieces of a value along one axis of it. */
import type { Node } from '../ir/index.ts';
import { attrList } from '../ops/index.ts';

/** Where along an axis of a value a piece of it lies. */
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
