/** Kernels that walk over the same values, whichever reads from the other, become one: reductions of the same rows share the pass. */
import { sizeOf } from '../../ir/index.ts';
import type { FusionContext } from '../context.ts';
import { byRoot, fullShape, type Fusion, type FusionGroup } from '../group.ts';
import { LiveBytes } from '../live-bytes.ts';
import { firstOf, Merging } from '../merging.ts';
import { sameRows } from '../rows.ts';
import { isFew } from '../union.ts';

export function fuseSiblings(fusion: Fusion, context: FusionContext): Fusion {
  const merging = new Merging(fusion, context);
  const live = new LiveBytes(fusion);
  const fewThatFit = (group: FusionGroup) => few(group, merging).filter((other) => live.fit(group, other));
  const merge = (one: FusionGroup, other: FusionGroup) => {
    const merged = merging.mergeInOrder(one, other);
    if (merged) live.join(one, other);
    return merged;
  };
  for (const group of merging.inOrder()) {
    if (group.kind === 'contraction' || !merging.has(group)) continue;
    for (let merged: FusionGroup | undefined = group; merged;) {
      const one: FusionGroup = merged;
      const found = [besides, near, together].flatMap((find) => find(one, merging));
      const others = [...new Set([...found, ...fewThatFit(one)])].sort(byRoot);
      merged = firstOf(others, (other) => merge(one, other));
    }
  }
  return merging.merged;
}

/** How many kernels that read the same are tried: a few of the nearest fill what a device binds. */
const MOST_BESIDES = 32;
/** How many kernels may lie between sums that wait for each other. */
const NEAR = 8;
/** A row's results are small beside the row. */
const FEW_RESULTS = 1 / 16;

/** The nearest kernels of the same kind that read a value of the kernel's whole domain that it reads too. */
function besides(group: FusionGroup, merging: Merging): FusionGroup[] {
  const size = sizeOf(fullShape(group));
  return [...merging.readersOf(group, (node) => sizeOf(node.type.shape) === size)]
    .filter((other) => other !== group && other.kind === group.kind)
    .sort((a, b) => merging.distance(a, group) - merging.distance(b, group))
    .slice(0, MOST_BESIDES);
}

/**
 * Maps of a few elements that wait for the same kernels, or for none: the sines and the cosines of a time, say. Some are read much
 * later, such as the scales of a network's norms: they may wait where there is memory for them (live-bytes.ts).
 */
function few(group: FusionGroup, merging: Merging): FusionGroup[] {
  if (!isFew(group)) return [];
  const before = new Set(merging.producersOf(group));
  const waitsAlike = (other: FusionGroup) => {
    const others = merging.producersOf(other);
    return others.length === before.size && others.every((producer) => before.has(producer));
  };
  return merging.merged.groups.filter((other) => other !== group && isFew(other) && waitsAlike(other));
}

/**
 * Sums over the same axes of the same shape that are due at about the same time, whatever they read: gradients of a shift, a
 * scale and a gate, say. Their results are small, and wait for one another at little cost.
 */
function near(group: FusionGroup, merging: Merging): FusionGroup[] {
  if (group.kind !== 'row' || !isSmall(group)) return [];
  const others = merging.merged.groups.filter(
    (other) => other !== group && other.kind === 'row' && merging.distance(other, group) <= NEAR && isSmall(other),
  );
  return others.filter((other) => sameRows(other.reductions[0], group.reductions[0]));
}

/**
 * Rows of the same shape that one kernel reads, whatever they are of: queries and keys that are normalised head by head. Both lie
 * in memory until then.
 */
function together(group: FusionGroup, merging: Merging): FusionGroup[] {
  if (group.kind !== 'row') return [];
  const isAlike = (other: FusionGroup) =>
    other !== group &&
    other.kind === 'row' &&
    merging.distance(other, group) <= NEAR &&
    sameRows(other.reductions[0], group.reductions[0]);
  const readers = merging.consumersOf(group);
  return [...new Set(readers.flatMap((reader) => merging.producersOf(reader)))].filter(isAlike);
}

const isSmall = (group: FusionGroup): boolean =>
  group.results.every(({ node }) => sizeOf(node.type.shape) <= FEW_RESULTS * sizeOf(fullShape(group)));
