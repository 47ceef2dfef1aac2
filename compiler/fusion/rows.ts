/** Reductions, and which of them walk over the same rows. */
import { sameShape, type Node } from '../ir/index.ts';
import { attrList, keepsLeading, keepsOrder, opDef } from '../ops/index.ts';

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

/** How many axes say which row an element is of, where those that are reduced come after all of them. */
export function rowDepth([first]: readonly Node[]): number | undefined {
  const axes = attrList(first.attrs, 'axes');
  const depth = first.type.shape.length - axes.length;
  return axes.every((axis) => axis >= depth) ? depth : undefined;
}

/** Views that move elements within rows: what a kernel has of a row it has for them too. */
export function withinRows(reductions: readonly Node[]): ((view: Node) => boolean) | undefined {
  const depth = rowDepth(reductions);
  return depth === undefined ? undefined : (view) => opDef(view.op).kind === 'view' && keepsLeading(view, depth);
}
