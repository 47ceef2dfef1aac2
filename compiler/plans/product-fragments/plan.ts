import type { Node } from '../../ir/index.ts';
import type { DeviceSpec } from '../../device.ts';
import { contiguousAxis, isInFours } from '../contiguous.ts';
import { bytesOfTile, sharesTile } from '../fragment-tiles.ts';
import { fragmentShapes, handoutOf, sameFragments } from '../fragments.ts';
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
import { layoutOf, layoutsIn, tileOf, type FragmentProductPlan } from './layouts.ts';

export type { FragmentProductPlan };

export const invocationsOf = ({ down, across, lanes }: FragmentProductPlan): number => down * across * lanes;

/** Whether vectors of the operands lie along k in memory. */
export function alongK({ anchor, reads }: Group): { left: boolean; right: boolean } {
  const [x, y] = anchor!.inputs;
  const isAlong = (operand: Node, depth: number, other: number) => {
    const rank = operand.type.shape.length;
    if (isInFours(operand, rank + depth, reads)) return true;
    return !isInFours(operand, rank + other, reads) && (contiguousAxis(operand, reads) === 'last') === (depth === -1);
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

function propose(group: Group, device: DeviceSpec): FragmentProductPlan | Rejection {
  const { anchor } = group;
  const [type, other] = anchor!.inputs.map((input) => input.type.dtype);
  const [shape] = type === other ? fragmentShapes(device, type) : [];
  if (!shape) return { rejected: `${device.name} has no matrix units for ${type}·${other} with sums of f32` };
  const plan = layoutOf(anchor!, shape, device, (found) => !refuses(found, group, device));
  if (plan) return plan;
  const [m, n] = anchor!.type.shape.slice(-2);
  return { rejected: `${m}×${n} over ${anchor!.inputs[0].type.shape.at(-1)} fills no tile of fragments` };
}

/** All layouts, in fragments of all shapes that the device has for the operands. */
function candidates({ anchor }: Group, device: DeviceSpec): FragmentProductPlan[] {
  return fragmentShapes(device, anchor!.inputs[0].type.dtype).flatMap(layoutsIn);
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
