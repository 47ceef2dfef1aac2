/** Values that lie side by side. */
import type { Node } from '../ir/index.ts';
import { joinedAxis } from './define.ts';
import type { Functional } from './functional.ts';

/** A view of a value; of values side by side along an axis, their views side by side along the axis that it becomes. */
export const viewParts = (f: Functional, x: Node, axis: number, to: number, view: (part: Node) => Node): Node =>
  joinedAxis(x) === axis
    ? f.concat(
        x.inputs.map((part) => viewParts(f, part, axis, to, view)),
        to,
      )
    : view(x);

/** The rows of a value, whatever axes they lie along: [rows, k]. */
export function rowsOf(f: Functional, x: Node, rows: number): Node {
  return viewParts(f, x, x.type.shape.length - 1, 1, (part) => f.reshape(part, [rows, part.type.shape.at(-1)!]));
}
