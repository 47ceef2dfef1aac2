/** Sums of the rows of a product's left operand are added up beside the product (row-sums.ts): the gradient of a bias. */
import { isProduct } from '../../ops/index.ts';
import type { FusionContext } from '../context.ts';
import { byRoot, type Fusion, type FusionGroup } from '../group.ts';
import { firstOf, Merging } from '../merging.ts';
import { sumUnion } from '../union.ts';

export function fuseRowSums(fusion: Fusion, context: FusionContext): Fusion {
  const merging = new Merging(fusion, context);
  for (const group of merging.merged.groups) {
    if (!isProduct(group.anchor) || !merging.has(group)) continue;
    for (let merged: FusionGroup | undefined = group; merged;) {
      const product: FusionGroup = merged;
      const rows = [...merging.readersOf(product)].sort(byRoot).filter((row) => sumUnion(product, row));
      merged = firstOf(rows, (row) => merging.merge(product, row));
    }
  }
  return merging.merged;
}
