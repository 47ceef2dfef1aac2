import { sizeOf, type Node } from '../../ir/index.ts';
import type { DeviceSpec } from '../../device.ts';
import type { Tile } from '../../fusion/group.ts';
import { contiguousAxis, isInFours } from '../contiguous.ts';
import { bytesOfTile, sharesTile } from '../fragment-tiles.ts';
import { fragmentShapes, handoutOf, sameFragments, type FragmentShape } from '../fragments.ts';
import {
  badCount,
  badGrid,
  badMemory,
  badRegisters,
  badWorkgroup,
  tiledCost,
  type Group,
  type Planning,
  type Rejection,
} from '../family.ts';

/**
 * `down` × `across` subgroups multiply `rows` × `columns` fragments each, from operand tiles in workgroup memory that hold `depth`
 * steps of k; the next tiles are already on their way in registers.
 */
export interface FragmentProductPlan extends FragmentShape {
  readonly family: 'product-fragments';
  readonly down: number;
  readonly across: number;
  readonly rows: number;
  readonly columns: number;
  readonly depth: number;
}

const tileOf = ({ down, across, rows, columns, m, n }: FragmentProductPlan): Tile => ({
  rows: down * rows * m,
  columns: across * columns * n,
});

const areaOf = (plan: FragmentProductPlan): number => tileOf(plan).rows * tileOf(plan).columns;

export const invocationsOf = ({ down, across, lanes }: FragmentProductPlan): number => down * across * lanes;

/** Whether vectors of the operands lie along k in memory. */
export function alongK({ anchor }: Group): { left: boolean; right: boolean } {
  const [x, y] = anchor!.inputs;
  const isAlong = (operand: Node, depth: number, other: number) => {
    const rank = operand.type.shape.length;
    if (isInFours(operand, rank + depth)) return true;
    return !isInFours(operand, rank + other) && (contiguousAxis(operand) === 'last') === (depth === -1);
  };
  return { left: isAlong(x, -1, -2), right: isAlong(y, -2, -1) };
}

export const planning: Planning<FragmentProductPlan> = {
  name: 'product-fragments',
  doc: 'Matrix units multiply fragments of operand tiles in workgroup memory, and add up in f32.',
  computes: ['product'],
  provides: ['row sums'],
  propose,
  refuses,
  candidates,
  cost: (plan, group) => tiledCost(group, tileOf(plan)),
  describe(plan) {
    const { rows, columns } = tileOf(plan);
    const { of, m, n, k } = plan;
    return `workgroup tile ${rows}×${columns}, ${plan.rows}×${plan.columns} fragments of ${m}×${n}×${k} ${of} per subgroup`;
  },
  tile: tileOf,
  byFours: () => true,
  storesFours: true,
  wantsRuns: true,
  // Matrix units do 1,024 steps in the time of a dispatch.
  leastDepth: 1024,
};

/** Workgroups that keep most GPUs busy: two for each of some thirty cores. */
const ENOUGH_WORKGROUPS = 64;

/** Elements of a subgroup's block, subgroups and steps of k of a tile; the larger ones read less of workgroup memory and of buffers. */
const LAYOUTS = [
  { height: 64, width: 64, down: 2, across: 2, depth: 32 },
  { height: 64, width: 64, down: 2, across: 1, depth: 32 },
  { height: 32, width: 64, down: 2, across: 2, depth: 32 },
  { height: 32, width: 64, down: 2, across: 1, depth: 64 },
  { height: 32, width: 64, down: 2, across: 1, depth: 32 },
];

/**
 * For narrow products, and where lanes are few: they read workgroup memory more than matrix units can wait for. Those that few
 * subgroups compute of blocks of their own come before those that more of them do of smaller ones.
 */
const SMALL_LAYOUTS = [
  { height: 32, width: 32, down: 2, across: 2, depth: 32 },
  { height: 64, width: 32, down: 1, across: 1, depth: 32 },
  { height: 32, width: 64, down: 1, across: 1, depth: 32 },
  { height: 32, width: 32, down: 2, across: 1, depth: 32 },
  { height: 16, width: 32, down: 2, across: 2, depth: 32 },
];

/** For a few rows of very many columns, and the other way round: most of what they multiply is padding. */
const THIN_LAYOUTS = [
  { height: 16, width: 64, down: 1, across: 2, depth: 32 },
  { height: 64, width: 16, down: 2, across: 1, depth: 32 },
];
/** Multiply-adds for one that counts, at most: matrix units do so many and more in the time that others take to load operands. */
const MOST_PADDING = 8;

const LEAST_DEPTH = 32;
/** Tiles of more steps than that are for products of so many: drivers write out loops of fewer rounds, and all that is in them. */
const DEEP_TILES = 16;

/** Sums that a lane has registers for. */
const MOST_SUMS = 128;

function propose(group: Group, device: DeviceSpec): FragmentProductPlan | Rejection {
  const { anchor } = group;
  const [type, other] = anchor!.inputs.map((input) => input.type.dtype);
  const [shape] = type === other ? fragmentShapes(device, type) : [];
  if (!shape) return { rejected: `${device.name} has no matrix units for ${type}·${other} with sums of f32` };
  const [m, n] = anchor!.type.shape.slice(-2);
  const k = anchor!.inputs[0].type.shape.at(-1)!;
  const batch = sizeOf(anchor!.type.shape.slice(0, -2));
  const workgroups = ({ rows, columns }: Tile) => batch * Math.ceil(m / rows) * Math.ceil(n / columns);
  const fills = (plan: FragmentProductPlan) => {
    const { rows, columns } = tileOf(plan);
    const isDeep = plan.depth === LEAST_DEPTH || (k % plan.depth === 0 && k >= DEEP_TILES * plan.depth);
    // The rows may be those of the whole batch, and where their number must not matter they decide nothing.
    return (device.steady || m >= rows) && n >= columns && k >= plan.depth && isDeep;
  };
  const smaller = (a: FragmentProductPlan, b: FragmentProductPlan) => (areaOf(b) < areaOf(a) ? b : a);
  const among = (layouts: typeof LAYOUTS) => {
    const filled = layouts.flatMap((layout) => planIn(layout, shape) ?? []).filter((plan) => fills(plan));
    const [first, ...others] = filled.filter((plan) => !refuses(plan, group, device));
    if (!first) return undefined;
    const enough = [first, ...others].find((plan) => workgroups(tileOf(plan)) >= ENOUGH_WORKGROUPS);
    return (device.steady ? undefined : enough) ?? others.reduce(smaller, first);
  };
  const thin = () => {
    const plans = THIN_LAYOUTS.flatMap((layout) => planIn(layout, shape) ?? []);
    return plans.find((plan) => {
      const { rows, columns } = tileOf(plan);
      const padded = (Math.ceil(m / rows) * rows * Math.ceil(n / columns) * columns) / (m * n);
      const isBusy = workgroups({ rows, columns }) >= ENOUGH_WORKGROUPS;
      return !device.steady && padded <= MOST_PADDING && isBusy && k >= plan.depth && !refuses(plan, group, device);
    });
  };
  const plan = among(LAYOUTS) ?? among(SMALL_LAYOUTS) ?? thin();
  return plan ?? { rejected: `${m}×${n} over ${k} fills no tile of fragments` };
}

/** All layouts, in fragments of all shapes that the device has for the operands. */
function candidates({ anchor }: Group, device: DeviceSpec): FragmentProductPlan[] {
  const shapes = fragmentShapes(device, anchor!.inputs[0].type.dtype);
  return [...LAYOUTS, ...SMALL_LAYOUTS, ...THIN_LAYOUTS].flatMap((layout) =>
    shapes.flatMap((shape) => planIn(layout, shape) ?? []),
  );
}

/** A layout in fragments of a shape; undefined where it is not of whole ones, or lanes have no registers for it. */
function planIn(
  { height, width, ...rest }: (typeof LAYOUTS)[number],
  shape: FragmentShape,
): FragmentProductPlan | undefined {
  const isWhole = height % shape.m === 0 && width % shape.n === 0 && height * width <= MOST_SUMS * shape.lanes;
  if (!isWhole) return undefined;
  return { family: 'product-fragments', ...shape, ...rest, rows: height / shape.m, columns: width / shape.n };
}

function refuses(plan: FragmentProductPlan, group: Group, device: DeviceSpec): string | undefined {
  const { down, across, rows, columns, depth, k } = plan;
  const operands = group.anchor!.inputs.map((input) => input.type.dtype);
  const isOffered = operands.every((type) => fragmentShapes(device, type).some((shape) => sameFragments(shape, plan)));
  if (!isOffered) return `${device.name} has no such fragments for ${operands.join('·')}`;
  const invocations = invocationsOf(plan);
  const bad = badCount({ down, across, rows, columns, depth }) ?? badWorkgroup(invocations, device);
  if (bad) return bad;
  const held = badRegisters((rows * plan.m * columns * plan.n) / plan.lanes);
  if (held) return held;
  if (group.sums?.length && plan.m > plan.lanes)
    return `${plan.m} rows have no lane each of ${plan.lanes} to sum them up`;
  if (depth % k) return `${k} does not divide a depth of ${depth}`;
  const tile = tileOf(plan);
  const along = alongK(group);
  const isShared =
    sharesTile(tile.rows, depth, along.left, invocations) && sharesTile(tile.columns, depth, along.right, invocations);
  if (!isShared)
    return `${invocations} invocations do not share tiles of ${tile.rows}×${depth} and ${depth}×${tile.columns} evenly`;
  if (handoutOf(plan, columns) % plan.lanes) return `${plan.lanes} lanes do not share a part of their results evenly`;
  return badMemory(bytesOf(plan), device) ?? badGrid(group.anchor!, tile, device);
}

function bytesOf(plan: FragmentProductPlan): number {
  const { rows, columns } = tileOf(plan);
  const { depth, of, down, across } = plan;
  const tiles = bytesOfTile(rows, depth, of) + bytesOfTile(columns, depth, of);
  return tiles + 16 * down * across * handoutOf(plan, plan.columns);
}
