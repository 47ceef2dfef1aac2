/**
 * What reads a kernel's result element by element (or, after a reduction, row by row) is computed where that result is, and written
 * beside it: the moments, the weight and its average beside the gradient; gelu(x) beside x.
 */
import type { FusionContext } from '../context.ts';
import type { Fusion, FusionGroup } from '../group.ts';
import { firstOf, Merging } from '../merging.ts';

export function fuseConsumers(fusion: Fusion, context: FusionContext): Fusion {
  const merging = new Merging(fusion, context);
  for (const group of merging.inOrder()) {
    for (let merged: FusionGroup | undefined = group; merged;) {
      const consumer: FusionGroup = merged;
      // The last first, since what lies between two keeps them apart.
      const before = merging.producersOf(consumer).sort((a, b) => b.root.id - a.root.id);
      merged = firstOf(before, (producer) => merging.merge(producer, consumer));
    }
  }
  return merging.merged;
}
