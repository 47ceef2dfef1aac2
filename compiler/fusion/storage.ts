/** Which values have storage of their own before anything runs. */
import type { Node } from '../ir/index.ts';
import { opDef } from '../ops/index.ts';
import { isPack } from '../rewrite/packs.ts';

/** Leaves that live in a buffer; other leaves are literals computed where they are used. */
const isStoredLeaf = ({ op, attrs }: Node): boolean => opDef(op).leaf?.isStored(attrs) ?? false;

export const isStored = (node: Node): boolean => isStoredLeaf(node) || isPack(node);
