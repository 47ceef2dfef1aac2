/**
 * Plans: how a region becomes a kernel. A plan is plain data, chosen here by a deterministic heuristic from the device, or
 * read from a tuning table.
 */
import { sizeOf } from '../ir/index.ts';
import { fixedSubgroupSize, limit, type DeviceSpec } from './device.ts';
import { rowAxes, type Region } from './regions.ts';

/** One invocation per element of the root. */
export interface MapPlan {
  readonly family: 'map';
  readonly workgroup: number;
}

/** `lanes` invocations share a row and combine by subgroup operations or through workgroup memory; 1: each its own row. */
export interface RowPlan {
  readonly family: 'row';
  readonly lanes: number;
  readonly rowsPerWorkgroup: number;
  readonly combine: 'subgroup' | 'workgroup' | 'serial';
}

/** One invocation per element of the product. */
export interface SimpleProductPlan {
  readonly family: 'product-simple';
  readonly workgroup: number;
}

/**
 * One subgroup per workgroup. Each lane owns `columns` columns of `rows` rows in registers; a lane loads one row of the
 * left operand and broadcasts it. No workgroup memory, no barrier: what CPU SIMD devices like (DESIGN.md section 6).
 */
export interface SubgroupProductPlan {
  readonly family: 'product-subgroup';
  readonly lanes: number;
  readonly rows: number;
  readonly columns: number;
}

/** Operand tiles staged in workgroup memory, a register block of `perThread`² per invocation. */
export interface TiledProductPlan {
  readonly family: 'product-tiled';
  /** Invocations along each side of the square workgroup. */
  readonly side: number;
  readonly perThread: number;
  /** Depth of a staged tile. */
  readonly depth: number;
}

export type Plan = MapPlan | RowPlan | SimpleProductPlan | SubgroupProductPlan | TiledProductPlan;

export function choosePlan(region: Region, device: DeviceSpec): Plan {
  if (region.kind === 'matmul') return planProduct(region, device);
  if (region.kind === 'row') return planRows(region, device);
  return { family: 'map', workgroup: 64 };
}

function planProduct(region: Region, device: DeviceSpec): Plan {
  const [m, n] = region.anchor!.type.shape.slice(-2);
  const lanes = fixedSubgroupSize(device);
  if (lanes && device.kind === 'software') {
    return {
      family: 'product-subgroup',
      lanes,
      rows: smallestCovering(m, [1, 2, 4, 8, 16]),
      columns: n > 2 * lanes ? 3 : 1,
    };
  }
  const invocations = limit(device, 'maxComputeInvocationsPerWorkgroup');
  if (m < 8 || n < 8) return { family: 'product-simple', workgroup: 64 };
  const side = invocations >= 256 ? 16 : 8;
  return { family: 'product-tiled', side, perThread: m >= 2 * side && n >= 2 * side ? 4 : 2, depth: 16 };
}

function planRows(region: Region, device: DeviceSpec): RowPlan {
  const { shape, reduced } = rowAxes(region);
  const length = reduced.reduce((n, axis) => n * shape[axis], 1);
  const rows = sizeOf(shape) / length;
  // Neighbouring rows lie next to each other when the last axis is kept: then a row per invocation reads coalesced.
  const strided = !reduced.includes(shape.length - 1);
  if (length < 8 || (strided && rows >= 64)) {
    return { family: 'row', lanes: 1, rowsPerWorkgroup: 64, combine: 'serial' };
  }
  const subgroup = fixedSubgroupSize(device);
  if (subgroup && device.kind === 'software') {
    return { family: 'row', lanes: subgroup, rowsPerWorkgroup: 1, combine: 'subgroup' };
  }
  const lanes = Math.min(limit(device, 'maxComputeInvocationsPerWorkgroup'), length >= 512 ? 256 : 64);
  return { family: 'row', lanes, rowsPerWorkgroup: 1, combine: 'workgroup' };
}

const smallestCovering = (n: number, sizes: readonly number[]): number =>
  sizes.find((size) => size >= n) ?? sizes[sizes.length - 1];
