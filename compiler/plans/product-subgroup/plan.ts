import { sizeOf } from '../../ir/index.ts';
import { fixedSubgroupSize, prefersSubgroupProducts, type DeviceSpec } from '../../device.ts';
import { depthParts } from '../depth-parts.ts';
import type { Tile } from '../../fusion/group.ts';
import {
  badCount,
  badGrid,
  badLanes,
  badRegisters,
  isRejected,
  tiledCost,
  type Group,
  type Planning,
  type Rejection,
} from '../family.ts';
import { loadsOf, ONE_BY_ONE, type Loads } from './loads.ts';

/**
 * One subgroup per workgroup. Each lane owns `columns` columns of `rows` rows in registers; a lane loads one row of the
 * left operand and broadcasts it. No workgroup memory, no barrier: what CPU SIMD devices like (10–15 against 1.6 GFLOP/s on
 * lavapipe).
 */
export interface SubgroupProductPlan extends Loads {
  readonly lanes: number;
  readonly rows: number;
  readonly columns: number;
}

/** Steps of k whose rows the lanes load together, four rows a lane. */
export const stepsAtOnce = ({ lanes, rows }: Pick<SubgroupProductPlan, 'lanes' | 'rows'>): number =>
  Math.max(1, (4 * lanes) / rows);

const tileOf = ({ lanes, rows, columns }: SubgroupProductPlan): Tile => ({ rows, columns: columns * lanes });

export const planning: Planning<SubgroupProductPlan> = {
  name: 'product-subgroup',
  doc: 'A tile of the product by one subgroup in registers, operands spread by broadcasts.',
  computes: ['product'],
  provides: ['row sums'],
  propose,
  refuses,
  candidates,
  order: () => 'along k',
  cost: (plan, group) => tiledCost(group, tileOf(plan)),
  describe: (plan) => `subgroup tile ${tileOf(plan).rows}×${tileOf(plan).columns}`,
  tile: tileOf,
  byFours: ({ right }) => right !== 'one',
};

/** Multiply-adds of a product that is worth a longer compilation: some ten milliseconds. */
const MANY_MACS = 2 ** 23;

function propose(group: Group, device: DeviceSpec): SubgroupProductPlan | Rejection {
  const lanes = fixedSubgroupSize(device);
  if (!lanes || !prefersSubgroupProducts(device))
    return { rejected: `${device.name} is no software device with subgroups of one size` };
  const { shape } = group.anchor!.type;
  const [m, n] = shape.slice(-2);
  const k = group.anchor!.inputs[0].type.shape.at(-1)!;
  // Loads by fours compile for twice as long (0.8 against 0.35 s): worth it where there is much to do.
  const loads = sizeOf(shape) * k >= MANY_MACS ? loadsOf(group, lanes) : ONE_BY_ONE;
  const columns = loads.right === 'n4' ? 4 : laneColumns(n, lanes);
  return { lanes, rows: subgroupRows(m), columns, ...loads };
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

/** Neighbours of what is proposed, by one step each, one by one and by fours: each is a compilation, which is what tuning takes here. */
function candidates(group: Group, device: DeviceSpec): SubgroupProductPlan[] {
  const own = propose(group, device);
  if (isRejected(own)) return [];
  const { lanes, rows, columns } = own;
  const shapes = [[rows, columns], [rows / 2, columns], [2 * rows, columns], [rows, columns - 1], [rows, columns + 1]]; // prettier-ignore
  const plans = [ONE_BY_ONE, loadsOf(group, lanes)].flatMap((loads) =>
    shapes.map(([r, c]): SubgroupProductPlan => ({ lanes, rows: r, columns: c, ...loads })),
  );
  return plans.filter((plan) => plan.rows * plan.columns <= MOST_NUMBERS);
}

/** Of the product, in the registers of a lane: with more, they spill. */
const MOST_NUMBERS = 128;

function refuses(plan: SubgroupProductPlan, group: Group, device: DeviceSpec): string | undefined {
  const { lanes, rows, columns } = plan;
  const bad =
    badCount({ lanes, rows, columns }) ?? badRegisters(rows * columns + rows + columns) ?? badLanes(lanes, device);
  if (bad) return bad;
  if (rows > 4 && rows % 4) return `${rows} rows do not divide into vectors of 4`;
  if (rows > lanes && rows % lanes) return `${rows} rows do not divide among ${lanes} lanes`;
  return badLoads(plan, group) ?? badGrid(group.anchor!, tileOf(plan), device);
}

/** Loads by fours want the four side by side in memory, and a geometry of fours. */
function badLoads(plan: SubgroupProductPlan, group: Group): string | undefined {
  const { left, right, lanes, rows, columns } = plan;
  if (left === 'one' && right === 'one') return undefined;
  const best = loadsOf(group, lanes);
  if (best.left !== left || best.right !== right)
    return `loads ${left}, ${right}: the operands lie for ${best.left}, ${best.right}`;
  if (right === 'n4' && columns !== 4) return `${columns} columns a lane, loaded as 4 at once`;
  if (left !== 'm4') return undefined;
  if (rows % 4 || (4 * lanes) % rows) return `${rows} rows do not divide among ${lanes} lanes by fours`;
  const steps = stepsAtOnce(plan);
  const reads = group.reads ?? [];
  const parts = depthParts(group.anchor!, (node) => reads.includes(node));
  return parts.every(({ size }) => size % steps === 0) ? undefined : `a depth that is not of ${steps} steps at once`;
}
