/**
 * Plans: how a region becomes a kernel. A plan is plain data, chosen here by a deterministic heuristic from the device, or
 * read from a tuning table. `rolled` loops are hidden from the driver's unroller: software drivers unroll up to 32 rounds,
 * and then compile for seconds.
 *
 * A product adds up its terms in the order of k, one fused multiply-add each, by whatever plan but `product-dot`, and how a row
 * is reduced does not depend on how many rows there are: so an example's results do not depend on the batch (`steady`).
 */
import { DitcError, sizeOf, type Node } from '../ir/index.ts';
import { fixedSubgroupSize, limit, prefersSubgroupProducts, type DeviceSpec } from '../device.ts';
import { loadsOf, ONE_BY_ONE, type Loads } from './fours.ts';
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
  readonly rolled: boolean;
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
export interface SubgroupProductPlan extends Loads {
  readonly family: 'product-subgroup';
  readonly lanes: number;
  readonly rows: number;
  readonly columns: number;
}

/** Few rows: `share` of the `lanes` invocations walk along k of one column together. */
export interface DotProductPlan {
  readonly family: 'product-dot';
  readonly lanes: number;
  readonly share: number;
}

/** Operand tiles staged in workgroup memory, a register block of `perThread`² per invocation. */
export interface TiledProductPlan {
  readonly family: 'product-tiled';
  /** Invocations along each side of the square workgroup. */
  readonly side: number;
  readonly perThread: number;
  /** Depth of a staged tile. */
  readonly depth: number;
  readonly rolled: boolean;
}

/**
 * Online attention by a workgroup of `lanes`: a block of `rows` queries (a multiple of 4) against blocks of `keys` (a
 * multiple of `lanes`); an invocation accumulates `columns` columns of the output at a time.
 */
export interface AttentionPlan {
  readonly family: 'attention';
  readonly lanes: number;
  readonly rows: number;
  readonly keys: number;
  readonly columns: number;
  readonly rolled: boolean;
}

/**
 * Online attention by one subgroup per workgroup: `rows` queries (a multiple of 4 and of `lanes`) against `keys` keys a lane
 * at a time; a lane accumulates every `lanes`-th column of the output. No workgroup memory, no barrier.
 */
export interface SubgroupAttentionPlan {
  readonly family: 'attention-subgroup';
  readonly lanes: number;
  readonly rows: number;
  readonly keys: number;
}

/** Derivatives of attention: an invocation owns a row, and holds up to `unrolled` columns of it in registers. */
export interface AttentionGradientPlan {
  readonly family: 'attention-gradient';
  readonly lanes: number;
  readonly unrolled: number;
  readonly rolled: boolean;
}

export type Plan =
  | MapPlan
  | RowPlan
  | SimpleProductPlan
  | DotProductPlan
  | SubgroupProductPlan
  | TiledProductPlan
  | AttentionPlan
  | SubgroupAttentionPlan
  | AttentionGradientPlan;

export function choosePlan(region: Region, device: DeviceSpec): Plan {
  switch (region.kind) {
    case 'matmul':
      return planContraction(region, device);
    case 'row':
      return planRows(region, device);
    case 'map':
      return { family: 'map', workgroup: 64 };
  }
}

function planContraction(region: Region, device: DeviceSpec): Plan {
  const { op } = region.anchor!;
  switch (op) {
    case 'matmul':
      return planProduct(region, device);
    case 'attention':
      return planAttention(region, device);
    case 'attention_stats':
    case 'attention_dq':
    case 'attention_dk':
    case 'attention_dv':
      return planAttentionGradient(device);
    default:
      throw new Error(`no recipe computes ${op}`);
  }
}

/** Multiply-adds of a product that is worth a longer compilation: some ten milliseconds. */
const MANY_MACS = 2 ** 23;

/** Tiles lie along x, y and z of the grid; one invocation per element folds into a line of any length. */
function fitsGrid({ type: { shape } }: Node, device: DeviceSpec, rows: number, columns: number): boolean {
  const [m, n] = shape.slice(-2);
  const most = limit(device, 'maxComputeWorkgroupsPerDimension');
  return Math.ceil(n / columns) <= most && Math.ceil(m / rows) <= most && sizeOf(shape.slice(0, -2)) <= most;
}

/** Invocations along each side of a square tile, and elements along each side of an invocation's block of it. */
export type Tiles = Pick<TiledProductPlan, 'side' | 'perThread'>;

/** The tiles that a product is computed in; undefined where it is computed otherwise. */
export function tilesOf(product: Node, device: DeviceSpec): Tiles | undefined {
  const [rows, n] = product.type.shape.slice(-2);
  // The rows may be those of the whole batch.
  const m = device.steady ? Infinity : rows;
  if (product.op !== 'matmul' || prefersSubgroupProducts(device) || m < 8 || n < 8) return undefined;
  const side = limit(device, 'maxComputeInvocationsPerWorkgroup') >= 256 ? 16 : 8;
  const perThread = m >= 2 * side && n >= 2 * side ? 4 : 2;
  return fitsGrid(product, device, side * perThread, side * perThread) ? { side, perThread } : undefined;
}

function planProduct(region: Region, device: DeviceSpec): Plan {
  const anchor = region.anchor!;
  const [m] = anchor.type.shape.slice(-2);
  const fits = (rows: number, columns: number) => fitsGrid(anchor, device, rows, columns);
  const simple: SimpleProductPlan = { family: 'product-simple', workgroup: 64 };
  const lanes = fixedSubgroupSize(device);
  if (lanes && prefersSubgroupProducts(device)) {
    const plan = planSubgroupProduct(region, lanes);
    return fits(plan.rows, plan.columns * lanes) ? plan : simple;
  }
  // Statistics and sums of the rows are one invocation's affair.
  if (m < 8 && !device.steady && fits(m, 4) && !region.reductions.length && !region.sums.length)
    return { family: 'product-dot', lanes: 64, share: 16 };
  const tiles = tilesOf(anchor, device);
  return tiles ? { family: 'product-tiled', ...tiles, depth: 16, rolled: device.kind === 'software' } : simple;
}

function planSubgroupProduct(region: Region, lanes: number): SubgroupProductPlan {
  const { shape } = region.anchor!.type;
  const [m, n] = shape.slice(-2);
  const k = region.anchor!.inputs[0].type.shape.at(-1)!;
  // Loads by fours compile for twice as long (0.8 against 0.35 s): worth it where there is much to do.
  const loads = sizeOf(shape) * k >= MANY_MACS ? loadsOf(region, lanes) : ONE_BY_ONE;
  const rows = subgroupRows(m);
  const columns = loads.right === 'n4' ? 4 : laneColumns(n, lanes);
  return { family: 'product-subgroup', lanes, rows, columns, ...loads };
}

function planAttentionGradient(device: DeviceSpec): AttentionGradientPlan {
  const software = device.kind === 'software';
  const lanes = software ? (fixedSubgroupSize(device) ?? 8) : 64;
  return { family: 'attention-gradient', lanes, unrolled: MAX_HELD_COLUMNS, rolled: software };
}

/** Columns of a row that an invocation walks with in registers: four such rows are 320 numbers. */
const MAX_HELD_COLUMNS = 80;

/** Columns of the output that a lane can hold in registers. */
const MAX_LANE_COLUMNS = 12;

function planAttention({ anchor }: Region, device: DeviceSpec): AttentionPlan | SubgroupAttentionPlan {
  const plan = attentionPlan(anchor!, device);
  if (plan) return plan;
  const [width] = anchor!.type.shape.slice(-1);
  const memory = limit(device, 'maxComputeWorkgroupStorageSize');
  throw new DitcError({
    code: 'limit',
    where: anchor!.loc,
    what: `attention over values of width ${width} does not fit ${device.name}'s ${memory} bytes of workgroup memory`,
    fix: 'use more heads of smaller width, or a device with a larger maxComputeWorkgroupStorageSize',
  });
}

/** Whether a kernel of the device computes an attention or a derivative of one: a matrix of its batch lies at each z of the grid. */
export function hasAttentionKernel(anchor: Node, device: DeviceSpec): boolean {
  const matrices = sizeOf(anchor.type.shape.slice(0, -2));
  if (matrices > limit(device, 'maxComputeWorkgroupsPerDimension')) return false;
  return anchor.op !== 'attention' || attentionPlan(anchor, device) !== undefined;
}

function attentionPlan(anchor: Node, device: DeviceSpec): AttentionPlan | SubgroupAttentionPlan | undefined {
  const [q, k, v] = anchor.inputs.map((node) => node.type.shape);
  const software = device.kind === 'software';
  const size = fixedSubgroupSize(device);
  if (
    size &&
    size >= 4 &&
    size <= 16 &&
    prefersSubgroupProducts(device) &&
    v[v.length - 1] <= MAX_LANE_COLUMNS * size
  ) {
    const [queries, keys] = [q[q.length - 2], k[k.length - 2]];
    // Larger blocks run some 10 % faster and compile for twice as long: worth it where there is much to do.
    return {
      family: 'attention-subgroup',
      lanes: size,
      rows: Math.max(size, queries > 64 ? 16 : 8),
      keys: keys > 128 ? 2 : 1,
    };
  }
  const lanes = software ? (fixedSubgroupSize(device) ?? 8) : 64;
  const [m, n, e] = [q[q.length - 2], k[k.length - 2], v[v.length - 1]];
  const columns = software ? 4 : 1;
  // Few blocks: each costs three barriers. A software subgroup takes up to 8 keys a lane, all of a short row at once.
  const keys = lanes * (software ? Math.min(8, Math.ceil(n / lanes)) : 1);
  const width = Math.ceil(e / (lanes * columns)) * lanes * columns;
  const memory = limit(device, 'maxComputeWorkgroupStorageSize');
  // The most rows that fit workgroup memory: scores, output, and three numbers a row.
  const fits = (rows: number) => 4 * rows * (keys + width + 3) <= memory;
  const rows = [16, 8, 4].find((r) => fits(r) && (r === 4 || (r <= Math.max(8, m) && !(software && r > 8))));
  return rows === undefined ? undefined : { family: 'attention', lanes, rows, keys, columns, rolled: software };
}

function planRows(region: Region, device: DeviceSpec): RowPlan {
  const { shape, reduced } = rowAxes(region);
  const length = reduced.reduce((n, axis) => n * shape[axis], 1);
  const rolled = device.kind === 'software';
  // Rows that lie next to each other, as when the last axis is kept: then a row per invocation reads coalesced.
  const side = sizeOf(shape.slice(Math.max(...reduced) + 1));
  if (length < 8 || side >= 64) {
    return { family: 'row', lanes: 1, rowsPerWorkgroup: 64, combine: 'serial', rolled };
  }
  const subgroup = fixedSubgroupSize(device);
  if (subgroup && device.kind === 'software') {
    return { family: 'row', lanes: subgroup, rowsPerWorkgroup: 1, combine: 'subgroup', rolled };
  }
  const lanes = Math.min(limit(device, 'maxComputeInvocationsPerWorkgroup'), length >= 512 ? 256 : 64);
  return { family: 'row', lanes, rowsPerWorkgroup: 1, combine: 'workgroup', rolled };
}

/** Rows a lane holds: 32 measured 10–30 % faster than 16 (lavapipe, 24 columns), unless that pads many rows for nothing. */
function subgroupRows(m: number): number {
  const padding = Math.ceil(m / 32) * 32 - m;
  return m >= 32 && padding <= m / 8 ? 32 : smallestCovering(m, [1, 2, 4, 8, 16]);
}

/** Columns a lane holds: 3, or 2 where that leaves fewer lanes without work. */
function laneColumns(n: number, lanes: number): number {
  const padded = (columns: number) => Math.ceil(n / (columns * lanes)) * columns * lanes;
  if (n <= lanes) return 1;
  return padded(2) < padded(3) ? 2 : 3;
}

const smallestCovering = (n: number, sizes: readonly number[]): number =>
  sizes.find((size) => size >= n) ?? sizes[sizes.length - 1];
