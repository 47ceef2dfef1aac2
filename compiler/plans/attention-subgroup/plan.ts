import { fixedSubgroupSize, prefersSubgroupProducts, type DeviceSpec } from '../../device.ts';
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
import { heldOf } from '../subgroup-scores.ts';

/**
 * Online attention by one subgroup per workgroup: `rows` queries (a multiple of `lanes`) against four keys a lane at a time. A lane
 * accumulates columns of the output, by fours where these are.
 */
export interface SubgroupAttentionPlan {
  readonly lanes: number;
  readonly rows: number;
}

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
  const lanes = fixedSubgroupSize(device);
  if (!lanes || lanes < 4 || lanes > 16 || !prefersSubgroupProducts(device))
    return { rejected: `${device.name} is no software device with subgroups of 4 to 16` };
  const wanted = Math.min(MOST_ROWS, 4 * lanes, Math.ceil(sizesOf(group).m / lanes) * lanes);
  const plans = [wanted, lanes].map((rows): SubgroupAttentionPlan => ({ lanes, rows }));
  const refusals = plans.map((plan) => refuses(plan, group, device));
  return plans[refusals.indexOf(undefined)] ?? { rejected: refusals[1]! };
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
