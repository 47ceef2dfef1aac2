/**
 * A layer norm (or RMS norm, or any rows) whose only reader is a product's left operand need not go through memory: the product
 * computes the statistics of its own rows and normalises as it loads (row-operands.ts). Rows that others read too stay for the
 * pass `share-rows`.
 */
import { labelOf, labelsOf, type Node } from '../../ir/index.ts';
import { tooManyBuffers } from '../../device.ts';
import { whyNotComputable } from '../computable.ts';
import { isProduct } from '../../ops/index.ts';
import type { FusionContext } from '../context.ts';
import type { Fusion, FusionGroup } from '../group.ts';
import { isRejected } from '../../plans/family.ts';
import { replanned } from '../planned.ts';
import { ownsBatch, remarkApart, unfit } from '../row-operands.ts';
import { keepsRows } from '../rows.ts';
import { sliceOf } from '../slice.ts';
import { isStored } from '../storage.ts';

/** The groups of a fusion as the pass goes, by root; and where each product is among them. */
interface Groups {
  readonly byRoot: Map<Node, FusionGroup>;
  readonly rootOf: ReadonlyMap<Node, Node>;
}

export function fuseRowStatistics(fusion: Fusion, context: FusionContext): Fusion {
  const products = fusion.groups.filter(({ anchor }) => isProduct(anchor));
  const rootOf = new Map(products.map(({ anchor, root }) => [anchor!, root]));
  const groups = { byRoot: new Map(fusion.groups.map((group) => [group.root, group])), rootOf };
  for (const row of fusion.groups) if (row.kind === 'row') fuse(row, groups, context);
  return { ...fusion, groups: [...groups.byRoot.values()] };
}

/** Moves a row group into the product that alone reads it. */
function fuse(row: FusionGroup, groups: Groups, context: FusionContext): void {
  const { users, remarks } = context;
  const reader = onlyReader(row.root, users, groups);
  const fused = typeof reader === 'string' ? reader : withStatistics(row, reader, groups, context);
  if (typeof reader === 'string' || typeof fused === 'string') {
    // Of several readers one may still take the rows, and write them for the others.
    if (!isOperand(row.root, users, groups)) remarkApart(row.root, row, String(fused), remarks);
    return;
  }
  const values = [row.root, reader.anchor!];
  const done = `${labelOf(reader.anchor!)} computes ${labelsOf(row.reductions)} of the rows that it reads`;
  remarks?.applied('fuse-row-statistics', values, done);
  groups.byRoot.set(reader.root, fused);
  groups.byRoot.delete(row.root);
}

/** Whether one of several readers is a product of which the rows are the left operand. */
function isOperand(root: Node, users: Map<Node, Node[]>, { rootOf }: Groups): boolean {
  const readers = users.get(root)!;
  const leads = (reader: Node): boolean => rootOf.has(reader) || (keepsRows(reader) && users.get(reader)!.some(leads));
  return readers.length > 1 && readers.some(leads);
}

/** A product with the rows that it alone reads; or why it does not take them in. */
function withStatistics(
  row: FusionGroup,
  product: FusionGroup,
  { byRoot }: Groups,
  context: FusionContext,
): FusionGroup | string {
  const { returned, maxReads } = context;
  if (returned.has(row.root)) return `${labelOf(row.root)} is a result of the graph`;
  const isRead = (node: Node) => isStored(node) || (byRoot.has(node) && node !== row.root && node !== product.root);
  const why = unfit(row, product, { node: row.root, views: row.views }, context, isRead);
  if (why) return why;
  const kernel = { ...product, reductions: row.reductions, prologue: row.epilogue };
  const apart = whyNotComputable(kernel, (node) => isRead(node) && !row.reductions.includes(node));
  if (apart) return apart;
  const reads = sliceOf([product.root], isRead).reads.size;
  if (reads > maxReads) return tooManyBuffers(reads, maxReads, `with ${labelOf(product.root)}`);
  const given = new Set([...byRoot.keys()].filter((node) => node !== row.root));
  const planned = replanned(kernel, given, context);
  return isRejected(planned) ? planned.rejected : planned;
}

/**
 * The one product that reads a value, as its left operand, through nothing but reshapes that keep the rows; or why there
 * is none.
 */
function onlyReader(root: Node, users: Map<Node, Node[]>, { byRoot, rootOf }: Groups): FusionGroup | string {
  let node = root;
  for (;;) {
    const readers = users.get(node)!;
    if (readers.length !== 1) return `${labelOf(node)} has ${readers.length} readers (${labelsOf(readers)})`;
    const [reader] = readers;
    const product = rootOf.get(reader);
    if (product) {
      if (reader.inputs[0] !== node || reader.inputs[1] === node)
        return `${labelOf(reader)} reads them as its right operand`;
      return ownsBatch(reader)
        ? byRoot.get(product)!
        : `${labelOf(reader)} reads them for several matrices of its batch`;
    }
    if (!keepsRows(reader)) return `the reader of ${labelOf(node)} is no matrix product but ${labelOf(reader)}`;
    node = reader;
  }
}
