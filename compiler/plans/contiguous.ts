/** Along which axis an operand of a product lies in memory. */
import type { Node } from '../ir/index.ts';
import { axisBehind, opDef, type Axis } from '../ops/index.ts';

/** Whether the last axis of an operand is the one contiguous in memory, seen through views and pointwise ops. */
export function contiguousAxis(operand: Node): 'last' | 'other' {
  let at: Axis = { node: operand, axis: operand.type.shape.length - 1 };
  for (let next: Axis | undefined = at; next; next = behind(next)) at = next;
  return at.axis === at.node.type.shape.length - 1 ? 'last' : 'other';
}

/** The same axis of what a value is computed of, element by element. */
function behind({ node, axis }: Axis): Axis | undefined {
  const { kind } = opDef(node.op);
  if (kind === 'view') return axisBehind(node, axis);
  const next = kind === 'pointwise' && node.inputs.find((n) => n.type.shape.length === node.type.shape.length);
  return next ? { node: next, axis } : undefined;
}
