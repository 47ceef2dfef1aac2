/** Reductions, and which of them walk over the same rows. */
import { sameShape, type Node } from '../ir/index.ts';
import { attrList, opDef } from '../ops/index.ts';

export const isReduction = (node: Node): boolean => opDef(node.op).kind === 'reduce';

/** Whether two nodes reduce the same axes of the same shape. */
export const sameRows = (a: Node, b: Node): boolean =>
  isReduction(a) &&
  isReduction(b) &&
  String(attrList(a.attrs, 'axes')) === String(attrList(b.attrs, 'axes')) &&
  sameShape(a.inputs[0].type.shape, b.inputs[0].type.shape);

/** Whether a view leaves rows along the last axis whole, and in order. */
export const keepsRows = ({ op, inputs: [x], type }: Node): boolean =>
  op === 'reshape' && type.shape.at(-1) === x.type.shape.at(-1);
