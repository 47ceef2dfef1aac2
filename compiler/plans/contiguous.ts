/** Along which axis an operand of a product lies in memory. */
import type { Node } from '../ir/index.ts';
import { axisBehind, isFourBehind, opDef, type Axis } from '../ops/index.ts';

/** Whether the last axis of an operand is the one contiguous in memory, seen through views and pointwise ops. */
export function contiguousAxis(operand: Node): 'last' | 'other' {
  let at: Axis = { node: operand, axis: operand.type.shape.length - 1 };
  for (let next: Axis | undefined = at; next; next = behind(next)) at = next;
  return at.axis === at.node.type.shape.length - 1 ? 'last' : 'other';
}

/** The same axis of what a value is computed of, element by element. */
function behind({ node, axis }: Axis): Axis | undefined {
  if (opDef(node.op).kind === 'view') return axisBehind(node, axis);
  const next = elementwise(node);
  return next && { node: next, axis };
}

/** Whether each four of an operand's elements along an axis, from a multiple of 4 on, is such a four in memory, or lies beside all that is there. */
export const isInFours = (operand: Node, axis: number): boolean => isFourBehind(operand, axis, elementwise);

/** What a value that is not in memory is of, element by element. */
function elementwise({ op, type, inputs }: Node): Node | undefined {
  const { kind, inMemory } = opDef(op);
  if (inMemory || kind !== 'pointwise') return undefined;
  return inputs.find((x) => x.type.shape.length === type.shape.length);
}
