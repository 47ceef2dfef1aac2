/** Reductions, and which of them walk over the same rows. */
import { sameShape, type Node } from '../ir/index.ts';
import { attrList, opDef, keepsOrder } from '../ops/index.ts';

export const isReduction = (node: Node): boolean => opDef(node.op).kind === 'reduce';

/** Whether two nodes reduce the same axes of the same shape. */
export const sameRows = (a: Node, b: Node): boolean =>
  isReduction(a) &&
  isReduction(b) &&
  String(attrList(a.attrs, 'axes')) === String(attrList(b.attrs, 'axes')) &&
  sameShape(a.inputs[0].type.shape, b.inputs[0].type.shape);

/** Whether a view leaves rows along the last axis whole, and in order. */
export const keepsRows = (view: Node): boolean =>
  keepsOrder(view) && view.type.shape.at(-1) === view.inputs[0].type.shape.at(-1);
