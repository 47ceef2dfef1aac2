/** Along which axis an operand of a product lies in memory. */
import type { Node } from '../ir/index.ts';
import { axisBehind, isFourBehind, opDef, type Axis } from '../ops/index.ts';

/** Whether the last axis of an operand is the one contiguous in memory, seen through views and pointwise ops. */
export function contiguousAxis(operand: Node, stored: readonly Node[] = []): 'last' | 'other' {
  let at: Axis = { node: operand, axis: operand.type.shape.length - 1 };
  for (let next: Axis | undefined = at; next; next = axisOf(next, stored)) at = next;
  return at.axis === at.node.type.shape.length - 1 ? 'last' : 'other';
}

/** The same axis of what a value is computed of, element by element. */
function axisOf({ node, axis }: Axis, stored: readonly Node[]): Axis | undefined {
  const next = behind(node, stored);
  if (!next) return undefined;
  return opDef(node.op).kind === 'view' ? axisBehind(node, axis) : { node: next, axis };
}

/**
 * Whether each four of an operand's elements along an axis, from a multiple of 4 on, is such a four in memory, or lies beside all that is
 * there.
 */
export const isInFours = (operand: Node, axis: number, stored: readonly Node[] = []): boolean =>
  isFourBehind(operand, axis, (node) => behind(node, stored));

/** What a value that is not in memory is a view of, or is of element by element. */
function behind(node: Node, stored: readonly Node[]): Node | undefined {
  const { op, type, inputs } = node;
  const { kind, inMemory } = opDef(op);
  if (inMemory || stored.includes(node)) return undefined;
  if (kind === 'view') return inputs[0];
  return kind === 'pointwise' ? inputs.find((x) => x.type.shape.length === type.shape.length) : undefined;
}
