/**
 * Whether a product may walk along k by fours: where four neighbours lie side by side in memory, a lane loads them at once. On
 * lavapipe, which loads lane by lane, that is most of what a product costs (512×1152×4608: 12 → 18 GFLOP/s and core).
 */
import type { Node } from '../ir/index.ts';
import { attrList, opDef } from '../ops/index.ts';
import type { Region } from './regions.ts';

export function isByFours({ anchor, reads }: Region): boolean {
  const [x, y] = anchor!.inputs;
  const rank = y.type.shape.length;
  const k = x.type.shape[x.type.shape.length - 1];
  return k % 4 === 0 && isSideBySide(x, x.type.shape.length - 1, reads) && isSideBySide(y, rank - 2, reads);
}

/** Whether each four of elements along the axis, from a multiple of 4 on, is such a four in memory. */
function isSideBySide(node: Node, axis: number, stored: readonly Node[]): boolean {
  const last = node.type.shape.length - 1;
  if (stored.includes(node)) return node.type.dtype === 'f32' && axis === last && node.type.shape[axis] % 4 === 0;
  const [x] = node.inputs;
  switch (node.op) {
    case 'permute':
      return isSideBySide(x, attrList(node.attrs, 'perm')[axis], stored);
    case 'reshape': {
      const inner = x.type.shape.length - 1;
      return (
        axis === last &&
        node.type.shape[axis] % 4 === 0 &&
        x.type.shape[inner] % 4 === 0 &&
        isSideBySide(x, inner, stored)
      );
    }
    case 'slice': {
      const [start, step] = [attrList(node.attrs, 'start'), attrList(node.attrs, 'step')];
      return step[axis] === 1 && start[axis] % 4 === 0 && isSideBySide(x, axis, stored);
    }
    case 'broadcast': {
      const own = axis - (node.type.shape.length - x.type.shape.length);
      return own >= 0 && x.type.shape[own] === node.type.shape[axis] && isSideBySide(x, own, stored);
    }
    default:
      return isPointwiseOn(node, axis, stored);
  }
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
