import type { Node } from '../ir/index.ts';

/** Leaves that live in a buffer; other leaves are literals computed where they are used. */
export const isStored = (node: Node): boolean =>
  node.op === 'input' || node.op === 'param' || node.op === 'state' || node.attrs.data instanceof Float64Array;
