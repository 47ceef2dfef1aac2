import { sizeOf } from '../../ir/index.ts';
import type { DeviceSpec } from '../../device.ts';
import type { Tile } from '../../fusion/group.ts';
import { contiguousAxis } from '../contiguous.ts';
import {
  badCount,
  badGrid,
  badMemory,
  badRegisters,
  badWorkgroup,
  combinations,
  reducesRows,
  tiledCost,
  type Group,
  type Planning,
  type Rejection,
} from '../family.ts';
import { statisticsBytes } from '../row-statistics.ts';

/**
 * Operand tiles staged in workgroup memory as vectors, the next ones already on their way in registers. `down` × `across`
 * invocations compute `rows` × `columns` elements each; `depth` steps of k lie between barriers.
 */
export interface Vec4TiledProductPlan {
  readonly down: number;
  readonly across: number;
  readonly rows: number;
  readonly columns: number;
  readonly depth: number;
}

const tileOf = ({ down, across, rows, columns }: Vec4TiledProductPlan): Tile => ({
  rows: down * rows,
  columns: across * columns,
});

/** How an operand is staged: in vectors along k, as it lies in memory, or across k. */
export interface Staging {
  readonly alongK: boolean;
  /** Vectors between an element and its neighbour along the other axis. */
  readonly stride: number;
  readonly vectors: number;
}

/** The staged tiles of both operands. Where vectors lie along k, one more in a row keeps neighbours out of each other's banks. */
export function stagingOf(plan: Vec4TiledProductPlan, { anchor }: Group): { left: Staging; right: Staging } {
  const [x, y] = anchor!.inputs;
  const { rows, columns } = tileOf(plan);
  const staging = (block: number, alongK: boolean): Staging => {
    const stride = alongK ? plan.depth / 4 + 1 : block / 4;
    return { alongK, stride, vectors: stride * (alongK ? block : plan.depth) };
  };
  return {
    left: staging(rows, contiguousAxis(x) === 'last'),
    right: staging(columns, contiguousAxis(y) !== 'last'),
  };
}

export const planning: Planning<Vec4TiledProductPlan> = {
  name: 'product-tiled-vec4',
  doc: 'Operand tiles in workgroup memory as vectors, the next tile loaded beside the multiply-adds of this one.',
  computes: ['product'],
  forHardware: true,
  provides: ['row statistics', 'stored rows', 'row sums'],
  propose,
  refuses,
  candidates,
  // The invocations of a tile share what is reduced besides.
  order: ({ down, across, rows }, group) =>
    reducesRows(group) ? `along k, ${down * rows} rows by ${down * across}` : 'along k',
  cost: (plan, group) => tiledCost(group, tileOf(plan)),
  describe(plan) {
    const { rows, columns } = tileOf(plan);
    return `workgroup tile ${rows}×${columns}, ${plan.rows}×${plan.columns} per invocation, in vectors`;
  },
  tile: tileOf,
  byFours: () => true,
  storesFours: true,
};

/** Workgroups that keep most GPUs busy: two for each of some thirty cores. */
const ENOUGH_WORKGROUPS = 64;

/** 8×8 elements an invocation: one byte of workgroup memory is read per multiply-add. Smaller tiles read more from buffers. */
const SHAPES: readonly Vec4TiledProductPlan[] = [
  [16, 16],
  [8, 8],
  [16, 4],
  [4, 16],
].map(([down, across]) => ({ down, across, rows: 8, columns: 8, depth: 8 }));

function propose(group: Group, device: DeviceSpec): Vec4TiledProductPlan | Rejection {
  const { shape } = group.anchor!.type;
  const [m, n] = shape.slice(-2);
  const batch = sizeOf(shape.slice(0, -2));
  const choices = SHAPES.flatMap((plan) => {
    const { rows, columns } = tileOf(plan);
    const [down, across] = [Math.ceil(m / rows), Math.ceil(n / columns)];
    // The rows may be those of the whole batch, and their number must not matter.
    const isFilled = device.steady ? rows === 64 && n >= columns : m >= rows && n >= columns;
    if (!isFilled || refuses(plan, group, device)) return [];
    const work = down * rows * across * columns * (1 + READING / rows + READING / columns);
    return [{ plan, work, workgroups: batch * down * across }];
  });
  if (!choices.length) return { rejected: `${m}×${n} fills no tile of 64×64, 128×32 or 32×128` };
  const busy = choices.filter(({ workgroups }) => workgroups >= ENOUGH_WORKGROUPS);
  if (busy.length) return busy.reduce((best, one) => (one.work < best.work ? one : best)).plan;
  return choices.reduce((best, one) => (one.workgroups > best.workgroups ? one : best)).plan;
}

/** What an operand's load costs, in multiply-adds of the elements that it meets in a tile. An estimate. */
const READING = 8;

function candidates(): Vec4TiledProductPlan[] {
  const tiles = { down: [8, 16], across: [8, 16], rows: [4, 8], columns: [4, 8], depth: [8, 16] };
  return combinations(tiles);
}

function refuses(plan: Vec4TiledProductPlan, group: Group, device: DeviceSpec): string | undefined {
  const { down, across, rows, columns, depth } = plan;
  const threads = down * across;
  const bad =
    badCount({ down, across, rows, columns, depth }) ?? badWorkgroup(threads, device) ?? badRegisters(heldBy(plan));
  if (bad) return bad;
  const odd = [rows, columns, depth].find((size) => size % 4);
  if (odd) return `${odd} does not divide into vectors of 4`;
  const tile = tileOf(plan);
  const uneven = [tile.rows, tile.columns].find((size) => (size * depth) % (4 * threads));
  if (uneven) return `${threads} invocations do not share ${uneven}×${depth} elements evenly, in vectors`;
  return (
    badRows(tile, threads, group) ?? badMemory(bytesOf(plan, group), device) ?? badGrid(group.anchor!, tile, device)
  );
}

/** The sums, four steps of both operands, and what is on its way to the next tile. */
function heldBy(plan: Vec4TiledProductPlan): number {
  const { down, across, rows, columns, depth } = plan;
  const tile = tileOf(plan);
  return rows * columns + 4 * (rows + columns) + ((tile.rows + tile.columns) * depth) / (down * across);
}

/** Rows that the invocations do not share for their statistics, or do not have one each of to sum up. */
function badRows({ rows }: Tile, threads: number, { reductions = [], sums = [] }: Group): string | undefined {
  if (reductions.length && threads % rows) return `${threads} invocations do not share ${rows} rows evenly`;
  return sums.length && rows > threads ? `${rows} rows have no invocation each to sum them up` : undefined;
}

function bytesOf(plan: Vec4TiledProductPlan, group: Group): number {
  const { left, right } = stagingOf(plan, group);
  return 16 * (left.vectors + right.vectors) + statisticsBytes(group, plan.down * plan.across, tileOf(plan).rows);
}
