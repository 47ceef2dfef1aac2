/**
 * A product computes the rows of its left operand although others read them too, as the gradient of the product does in training:
 * its first column of tiles then writes them, and whatever else the row kernel gave (row-operands.ts).
 */
import { labelOf, type Node } from '../../ir/index.ts';
import { isProduct } from '../../ops/index.ts';
import type { FusionContext } from '../context.ts';
import type { Fusion, FusionGroup, Result } from '../group.ts';
import { Merging } from '../merging.ts';
import { ownsBatch, remarkApart, unfit } from '../row-operands.ts';
import { keepsRows } from '../rows.ts';
import { sliceOf } from '../slice.ts';
import { isStored } from '../storage.ts';

export function shareRows(fusion: Fusion, context: FusionContext): Fusion {
  const merging = new Merging(fusion, context);
  for (const product of merging.inOrder()) {
    if (!isProduct(product.anchor)) continue;
    for (const row of merging.producersOf(product)) {
      const operand = operandOf(row, product);
      if (!operand) continue;
      const merged = withRows(row, product, operand, fusion, context);
      const whole = typeof merged === 'string' ? merged : merging.planned(row, product, merged);
      if (typeof whole !== 'string') {
        merging.replace(row, product, whole);
        break;
      }
      remarkApart(operand.node, row, whole, context.remarks);
    }
  }
  return merging.merged;
}

/** The result of a row group that is a product's left operand. */
const operandOf = (row: FusionGroup, { anchor }: FusionGroup): Result | undefined =>
  row.kind === 'row' ? operandAmong(row.results, anchor!.inputs[0]) : undefined;

/** The result that an operand is, behind reshapes that keep the rows. */
function operandAmong(results: readonly Result[], operand: Node): Result | undefined {
  const found = results.find(({ node }) => node === operand);
  return found ?? (keepsRows(operand) ? operandAmong(results, operand.inputs[0]) : undefined);
}

/** A product and the row group that gives its left operand, all of it in memory. Why they stay two, where they do. */
function withRows(
  row: FusionGroup,
  product: FusionGroup,
  operand: Result,
  { stored }: Fusion,
  context: FusionContext,
): FusionGroup | string {
  const anchor = product.anchor!;
  const label = labelOf(anchor);
  const own = new Set(row.results.map(({ node }) => node));
  const why = unfit(row, product, operand, context, (node) => isStored(node) || (stored.has(node) && !own.has(node)));
  if (why) return why;
  if (!ownsBatch(anchor)) return `${label} reads them for several matrices of its batch`;
  // Of rows that a tile does not compute, it knows nothing.
  if (readsBesideLeft(product, own, stored)) return `${labelOf(product.root)} reads them once more, at other places`;
  const [first] = row.reductions;
  const results = [...product.results, ...row.results.map((result) => ({ ...result, anchor: first }))];
  return { ...product, reductions: row.reductions, prologue: row.epilogue, results };
}

/** Whether a product's kernel reads any of some values other than as the product's left operand. */
function readsBesideLeft(product: FusionGroup, values: ReadonlySet<Node>, stored: ReadonlySet<Node>): boolean {
  const { anchor, results } = product;
  const own = new Set(results.map(({ node }) => node));
  const { reads } = sliceOf(
    own,
    (node) => values.has(node) || isStored(node) || (stored.has(node) && !own.has(node)),
    (node) => (node === anchor ? node.inputs.slice(1) : node.inputs),
  );
  return [...values].some((node) => reads.has(node));
}
