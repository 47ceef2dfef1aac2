import type { DeviceSpec } from '../../device.ts';
import {
  badCount,
  badGrid,
  badLanes,
  badMemory,
  badRegisters,
  combinations,
  isRejected,
  type Group,
  type Planning,
  type Rejection,
} from '../family.ts';
import { onlineCost, sizesOf } from '../online-attention.ts';
import { heldOf, proposeRows, type SubgroupRows } from '../subgroup-scores.ts';

/** Online attention by one subgroup per workgroup: `rows` queries against four keys a lane at a time. */
export type SubgroupAttentionPlan = SubgroupRows;

export const planning: Planning<SubgroupAttentionPlan> = {
  name: 'attention-subgroup',
  doc: 'Online attention by one subgroup in registers, scores passed on through workgroup memory.',
  computes: ['attention'],
  provides: ['further contractions'],
  propose,
  refuses,
  candidates,
  order: () => 'four keys a lane',
  cost: ({ rows }, group) => onlineCost(group, rows),
  describe: ({ lanes, rows }) => `online in one subgroup, ${rows} queries × ${4 * lanes} keys at a time`,
  byFours: () => true,
};

/** Queries at a time: more are no faster, and compile for longer. */
const MOST_ROWS = 32;

function propose(group: Group, device: DeviceSpec): SubgroupAttentionPlan | Rejection {
  return proposeRows(
    (lanes) => [Math.min(MOST_ROWS, 4 * lanes, Math.ceil(sizesOf(group).m / lanes) * lanes), lanes],
    device,
    (plan) => refuses(plan, group, device),
  );
}

function candidates(group: Group, device: DeviceSpec): SubgroupAttentionPlan[] {
  const own = propose(group, device);
  if (isRejected(own)) return [];
  return combinations({ lanes: [own.lanes], rows: [1, 2, 4].map((times) => times * own.lanes) });
}

function refuses(plan: SubgroupAttentionPlan, group: Group, device: DeviceSpec): string | undefined {
  const { lanes, rows } = plan;
  // Each row's scores and output.
  const held = 4 * rows + heldOf(sizesOf(group).e, plan);
  const bad =
    badCount({ lanes, rows }) ?? badRegisters(held) ?? badMemory(16 * rows * lanes, device) ?? badLanes(lanes, device);
  if (bad) return bad;
  if (rows % lanes) return `${rows} queries do not divide among ${lanes} lanes`;
  return badGrid(group.anchor!, { rows, columns: Infinity }, device);
}
