/**
 * A product of operands that are joined along its depth, [A B]·[X; Y], is the sum of the products of the parts: its kernel
 * walks over one after the other, and no step asks which of them it is in.
 */
import type { Node } from '../ir/index.ts';
import { joinedAxis } from '../ops/index.ts';

/** A stretch of the depth, from `from` on. */
export interface Part {
  readonly from: number;
  readonly size: number;
  /** What is joined at this stretch, where that is all of one value. */
  readonly left?: Node;
  readonly right?: Node;
}

/** The stretches of a contraction's depth between which either operand changes from one value to the next. */
export function depthParts({ inputs: [x, y] }: Node, inMemory: (node: Node) => boolean): Part[] {
  const left = joinedFrom(x, x.type.shape.length - 1, inMemory);
  const right = joinedFrom(y, y.type.shape.length - 2, inMemory);
  const starts = [...new Set([...left, ...right].map(({ from }) => from))].sort((a, b) => a - b);
  const depth = x.type.shape[x.type.shape.length - 1];
  return starts.map((from, i) => {
    const size = (starts[i + 1] ?? depth) - from;
    const whole = (joined: Joined[]) => joined.find((part) => part.from === from && part.size === size)?.node;
    return { from, size, left: whole(left), right: whole(right) };
  });
}

interface Joined {
  readonly node: Node;
  readonly from: number;
  readonly size: number;
}

/** The values that lie side by side along an axis. */
function joinedFrom(node: Node, axis: number, inMemory: (node: Node) => boolean, from = 0): Joined[] {
  const size = node.type.shape[axis];
  if (joinedAxis(node) !== axis || inMemory(node)) return [{ node, from, size }];
  let start = from;
  return node.inputs.flatMap((piece) => {
    const joined = joinedFrom(piece, axis, inMemory, start);
    start += piece.type.shape[axis];
    return joined;
  });
}
