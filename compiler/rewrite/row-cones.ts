/** What is computed row by row: ops element by element, and those that reduce rows along the last axis. */
import type { Node } from '../ir/index.ts';
import { opDef } from '../ops/index.ts';

/** The length of the rows; a number has none. */
export const lastOf = ({ type: { shape } }: Node): number | undefined => shape.at(-1);

/** Whether an op makes a value of each row, or of all of it anew. */
export function reducesRows({ op, attrs, inputs: [x] }: Node): boolean {
  const { kind, reducesRows: isOfRows } = opDef(op);
  return !!isOfRows || (kind === 'reduce' && String(attrs.axes) === String([x.type.shape.length - 1]));
}

/** What computes a value row by row for some readers, and nobody else reads; undefined where somebody else reads the value. */
export function coneOf(
  source: Node,
  readers: ReadonlySet<Node>,
  isFree: (node: Node) => boolean,
  users: ReadonlyMap<Node, readonly Node[]>,
): Set<Node> | undefined {
  const cone = new Set<Node>();
  const isOwn = (node: Node) => isFree(node) && users.get(node)!.every((user) => readers.has(user) || cone.has(user));
  const isOfRows = (node: Node) => reducesRows(node) || opDef(node.op).kind === 'pointwise';
  // Users before what they use: an operand of two is looked at again when the second is in.
  const stack = [source];
  for (let node = stack.pop(); node; node = stack.pop()) {
    if (cone.has(node) || !isOwn(node) || !isOfRows(node) || lastOf(node) === undefined) continue;
    cone.add(node);
    stack.push(...node.inputs);
  }
  return cone.has(source) ? cone : undefined;
}
