/** Which values have storage of their own before anything runs. */
import type { Node } from '../ir/index.ts';
import { isPack } from '../rewrite/packs.ts';

/** Leaves that live in a buffer; other leaves are literals computed where they are used. */
const isStoredLeaf = (node: Node): boolean =>
  node.op === 'input' || node.op === 'param' || node.op === 'state' || node.attrs.data instanceof Float64Array;

export const isStored = (node: Node): boolean => isStoredLeaf(node) || isPack(node);
