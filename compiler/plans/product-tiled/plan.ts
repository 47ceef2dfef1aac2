import { limit, prefersSubgroupProducts, type DeviceSpec } from '../../device.ts';
import type { Tile } from '../../fusion/group.ts';
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
import { partialTile, sharesTotals, type Tiles } from '../tile-partials.ts';

/** Operand tiles staged in workgroup memory, a register block of `perThread`² per invocation. */
export interface TiledProductPlan extends Tiles {
  /** Depth of a staged tile. */
  readonly depth: number;
  readonly rolled: boolean;
}

const blockOf = ({ side, perThread }: Tiles): number => side * perThread;
const tileOf = (tiles: Tiles): Tile => ({ rows: blockOf(tiles), columns: blockOf(tiles) });

/** Fewer rows or columns leave most of a tile empty. */
const LEAST = 8;

export const planning: Planning<TiledProductPlan> = {
  name: 'product-tiled',
  doc: 'Operand tiles in workgroup memory, a square block of the product in the registers of each invocation.',
  computes: ['product'],
  provides: ['row statistics', 'stored rows', 'row sums', 'partial reductions', 'totals'],
  propose,
  refuses,
  candidates,
  // The invocations of a tile share what is reduced besides.
  order: ({ side, perThread }, group) => (reducesRows(group) ? `along k, rows by ${side}² of ${perThread}` : 'along k'),
  cost: (plan, group) => tiledCost(group, tileOf(plan)),
  describe: (plan) =>
    `workgroup tile ${blockOf(plan)}×${blockOf(plan)}, ${plan.perThread}×${plan.perThread} per invocation`,
  tile: tileOf,
};

function propose({ anchor }: Group, device: DeviceSpec): TiledProductPlan | Rejection {
  const [rows, n] = anchor!.type.shape.slice(-2);
  // The rows may be those of the whole batch.
  const m = device.steady ? Infinity : rows;
  if (prefersSubgroupProducts(device))
    return { rejected: `${device.name} computes products by subgroups that stage nothing` };
  if (m < LEAST || n < LEAST) return { rejected: `${rows}×${n} is too small for tiles` };
  const side = limit(device, 'maxComputeInvocationsPerWorkgroup') >= 256 ? 16 : 8;
  const perThread = m >= 2 * side && n >= 2 * side ? 4 : 2;
  return { side, perThread, depth: 16, rolled: device.kind === 'software' };
}

/** None for software that computes products by subgroups: barriers are what it is slow at. */
function candidates(_: Group, device: DeviceSpec): TiledProductPlan[] {
  if (prefersSubgroupProducts(device)) return [];
  const rolled = [device.kind === 'software'];
  return combinations({ side: [8, 16], perThread: [2, 4, 8], depth: [8, 16, 32], rolled });
}

function refuses(plan: TiledProductPlan, group: Group, device: DeviceSpec): string | undefined {
  const { side, perThread, depth } = plan;
  const held = perThread * (perThread + 2);
  const bad = badCount({ side, perThread, depth }) ?? badWorkgroup(side ** 2, device) ?? badRegisters(held);
  if (bad) return bad;
  if ((depth * perThread) % side) return `${side}² invocations do not share ${depth} steps of k evenly`;
  return (
    badStatistics(plan, group) ??
    badPartials(plan, group) ??
    badMemory(bytesOf(plan, group), device) ??
    badGrid(group.anchor!, tileOf(plan), device)
  );
}

/** Whose rows a workgroup's invocations do not share, or do not have one each of. */
function badStatistics({ side, perThread }: Tiles, { reductions = [], sums = [] }: Group): string | undefined {
  if (reductions.length && side % perThread) return `${side}² invocations do not share ${side * perThread} rows evenly`;
  return sums.length && perThread > side
    ? `${side * perThread} rows have no invocation each to sum them up`
    : undefined;
}

/** Partial reductions were cut for a tile: this may be another one. */
function badPartials(plan: Tiles, { anchor, pieces, totals = [], views = [] }: Group): string | undefined {
  const isCutSo = (reduction: NonNullable<typeof pieces>['reductions'][number]) => {
    const tile = partialTile(reduction, anchor!, views, plan);
    return tile && tile.rows === pieces!.rows && tile.columns === pieces!.columns;
  };
  if (pieces && !pieces.reductions.every(isCutSo))
    return `pieces of ${pieces.rows}×${pieces.columns} do not lie in tiles of ${blockOf(plan)}²`;
  if (pieces && ((pieces.rows > 1 && pieces.rows % plan.perThread) || pieces.columns % plan.perThread))
    return `pieces of ${pieces.rows}×${pieces.columns} are not of whole blocks of ${plan.perThread}²`;
  return totals.every((total) => sharesTotals(plan, total))
    ? undefined
    : `${plan.side}² invocations do not share the totals evenly`;
}

/** A stride that is no multiple of the banks: one more element a row, at most. */
const bytesOf = (plan: TiledProductPlan, group: Group): number =>
  8 * plan.depth * (blockOf(plan) + 1) +
  statisticsBytes(group, plan.side ** 2, blockOf(plan)) +
  partialsBytes(plan, group);

/** Partial results of the invocations: of pieces an array for each reduction, of stretches of their rows one for all. */
function partialsBytes({ side, perThread }: Tiles, { pieces }: Group): number {
  if (!pieces) return 0;
  return 4 * side ** 2 * (pieces.rows === 1 ? perThread : pieces.reductions.length);
}
