/** Which values have storage of their own before anything runs. */
import type { Node } from '../ir/index.ts';

/** Leaves that live in a buffer; other leaves are literals computed where they are used. */
const isStoredLeaf = (node: Node): boolean =>
  node.op === 'input' || node.op === 'param' || node.op === 'state' || node.attrs.data instanceof Float64Array;

/**
 * Parameters joined along their first axis: the runtime lays them out one after the other at load, so the join costs
 * nothing. `mergeLinears` makes these.
 */
export const isPack = (node: Node): boolean =>
  node.op === 'concat' && node.attrs.axis === 0 && node.inputs.every((n) => n.op === 'param');

export const isStored = (node: Node): boolean => isStoredLeaf(node) || isPack(node);
