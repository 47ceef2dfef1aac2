import { fixedSubgroupSize, prefersSubgroupProducts, type DeviceSpec } from '../../device.ts';
import {
  badCount,
  badGrid,
  badRegisters,
  combinations,
  isRejected,
  type Group,
  type Planning,
  type Rejection,
} from '../family.ts';
import { onlineCost, sizesOf } from '../online-attention.ts';

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

/** Columns of the output that a lane can hold in registers. */
const MAX_LANE_COLUMNS = 12;

export const planning: Planning<SubgroupAttentionPlan> = {
  name: 'attention-subgroup',
  doc: 'Online attention by one subgroup in registers, weights spread by shuffles.',
  computes: ['attention'],
  provides: ['further contractions'],
  propose,
  refuses,
  candidates,
  order: ({ keys }) => `${keys} keys a lane`,
  cost: ({ rows }, group) => onlineCost(group, rows),
  describe: ({ lanes, rows, keys }) => `online in one subgroup, ${rows} queries × ${keys * lanes} keys at a time`,
};

function propose(group: Group, device: DeviceSpec): SubgroupAttentionPlan | Rejection {
  const lanes = fixedSubgroupSize(device);
  if (!lanes || lanes < 4 || lanes > 16 || !prefersSubgroupProducts(device))
    return { rejected: `${device.name} is no software device with subgroups of 4 to 16` };
  const { m, n, e } = sizesOf(group);
  const most = MAX_LANE_COLUMNS * lanes;
  if (e > most) return { rejected: `values of width ${e}: the registers of ${lanes} lanes hold ${most}` };
  // Larger blocks run some 10 % faster and compile for twice as long: worth it where there is much to do.
  return { family: 'attention-subgroup', lanes, rows: Math.max(lanes, m > 64 ? 16 : 8), keys: n > 128 ? 2 : 1 };
}

function candidates(group: Group, device: DeviceSpec): SubgroupAttentionPlan[] {
  const own = propose(group, device);
  if (isRejected(own)) return [];
  return combinations({ family: [own.family], lanes: [own.lanes], rows: [4, 8, 16, 32], keys: [1, 2, 4] });
}

function refuses(plan: SubgroupAttentionPlan, group: Group, device: DeviceSpec): string | undefined {
  const { lanes, rows, keys } = plan;
  const size = fixedSubgroupSize(device);
  // Each row's scores, output, maximum and sum.
  const held = rows * (keys + Math.ceil(sizesOf(group).e / lanes) + 2);
  const bad = badCount({ lanes, rows, keys }) ?? badRegisters(held);
  if (bad) return bad;
  if (lanes !== size) return `${lanes} lanes: a subgroup of ${device.name} has ${size ?? 'no known size'}`;
  if (rows % 4) return `${rows} queries do not divide into vectors of 4`;
  if (rows % lanes) return `${rows} queries do not divide among ${lanes} lanes`;
  return badGrid(group.anchor!, { rows, columns: Infinity }, device);
}
