/**
 * How a product loads its operands: where four neighbours lie side by side in memory, along an axis that the product walks or
 * tiles, a lane loads them at once. On lavapipe, which loads lane by lane, that is most of what a product costs
 * (512×1152×4608: 12 → 18 GFLOP/s and core).
 */
import type { Node } from '../../ir/index.ts';
import { foursBehind, opDef } from '../../ops/index.ts';
import { depthParts } from '../depth-parts.ts';
import type { Group } from '../family.ts';

/** The axis along which a lane loads four elements of an operand at once: x [m,k] to the left, y [k,n] to the right. */
export interface Loads {
  readonly left: 'one' | 'k4' | 'm4';
  readonly right: 'one' | 'k4' | 'n4';
}

export const ONE_BY_ONE: Loads = { left: 'one', right: 'one' };

/**
 * A linear layer's x·Wᵀ has both along k; its derivative by x, d·W, the left along k and the right along n; that by W, dᵀ·x,
 * the left along m and the right along n.
 */
export function loadsOf({ anchor, reads = [] }: Group, lanes: number): Loads {
  const [x, y] = anchor!.inputs;
  const [m, n] = anchor!.type.shape.slice(-2);
  const [leftRank, rightRank] = [x.type.shape.length, y.type.shape.length];
  const depths = depthParts(anchor!, (node) => reads.includes(node)).map(({ size }) => size);
  const inRunsOf = (count: number) => depths.every((size) => size % count === 0);
  const isBy = (node: Node, axis: number) => isSideBySide(node, axis, reads);
  const leftByK = inRunsOf(4) && isBy(x, leftRank - 1);
  if (leftByK && isBy(y, rightRank - 2)) return { left: 'k4', right: 'k4' };
  // A lane then owns four neighbouring columns: not where many lanes would be left without.
  const padding = Math.ceil(n / (4 * lanes)) * 4 * lanes - n;
  if (padding > n / 8 || !isBy(y, rightRank - 1)) return ONE_BY_ONE;
  if (leftByK) return { left: 'k4', right: 'n4' };
  // Up to 32 rows in fours are a load for each of 8 lanes; more lanes load steps of k besides.
  const byRows = lanes >= 8 && m >= 16 && inRunsOf(lanes / 4) && isBy(x, leftRank - 2);
  return { left: byRows ? 'm4' : 'one', right: 'n4' };
}

/** Whether each four of elements along the axis, from a multiple of 4 on, is such a four in memory. */
function isSideBySide(node: Node, axis: number, stored: readonly Node[]): boolean {
  const last = node.type.shape.length - 1;
  if (stored.includes(node)) return node.type.dtype === 'f32' && axis === last && node.type.shape[axis] % 4 === 0;
  if (opDef(node.op).kind !== 'view') return isPointwiseOn(node, axis, stored);
  const behind = foursBehind(node, axis);
  return !!behind && behind.every((found) => isSideBySide(found.node, found.axis, stored));
}

/** All operands that vary along the axis are; the others are the same for the whole four. */
function isPointwiseOn(node: Node, axis: number, stored: readonly Node[]): boolean {
  if (opDef(node.op).kind !== 'pointwise') return false;
  const rank = node.type.shape.length;
  const varying = node.inputs.flatMap((input) => {
    const own = axis - (rank - input.type.shape.length);
    return own >= 0 && input.type.shape[own] > 1 ? [isSideBySide(input, own, stored)] : [];
  });
  return varying.length > 0 && varying.every(Boolean);
}
