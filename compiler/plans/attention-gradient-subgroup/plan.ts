import type { DeviceSpec } from '../../device.ts';
import {
  badCount,
  badLanes,
  badMemory,
  badRegisters,
  isRejected,
  type Group,
  type Planning,
  type Rejection,
} from '../family.ts';
import { badRows, derivativesOf, walksCost } from '../gradient-walks.ts';
import { heldOf, proposeRows, type SubgroupRows } from '../subgroup-scores.ts';

/** Derivatives of attention by one subgroup per workgroup: `rows` own rows against four others a lane at a time. */
export type SubgroupGradientPlan = SubgroupRows;

export const planning: Planning<SubgroupGradientPlan> = {
  name: 'attention-gradient-subgroup',
  doc: 'Derivatives of attention by one subgroup in registers, weights computed anew and passed on through workgroup memory.',
  computes: ['attention-queries', 'attention-keys', 'attention-values'],
  provides: ['further contractions'],
  propose,
  refuses,
  candidates,
  order: () => 'four others a lane',
  cost: ({ lanes, rows }, group) => walksCost(rows, 4 * lanes, group),
  describe: ({ lanes, rows }) => `one subgroup, ${rows} rows × ${4 * lanes} others at a time, weights computed anew`,
  byFours: () => true,
};

/** Own rows at a time, in turns of the lanes: the more, the fewer walks over the others. */
const TURNS = [2, 1];

function propose(group: Group, device: DeviceSpec): SubgroupGradientPlan | Rejection {
  return proposeRows(
    (lanes) => TURNS.map((turns) => turns * lanes),
    device,
    (plan) => refuses(plan, group, device),
  );
}

function candidates(group: Group, device: DeviceSpec): SubgroupGradientPlan[] {
  const own = propose(group, device);
  return isRejected(own) ? [] : TURNS.map((turns) => ({ ...own, rows: turns * own.lanes }));
}

/** Vectors of workgroup memory: products of both kinds, and what is known of the others. */
const vectorsOf = ({ lanes, rows }: SubgroupRows): number => 2 * rows * lanes + lanes;

function refuses(plan: SubgroupGradientPlan, group: Group, device: DeviceSpec): string | undefined {
  const { lanes, rows } = plan;
  const bad = badCount({ lanes, rows }) ?? badLanes(lanes, device);
  if (bad) return bad;
  if (rows % lanes) return `${rows} rows do not divide among ${lanes} lanes`;
  return badRegisters(heldBy(plan, group)) ?? badMemory(16 * vectorsOf(plan), device) ?? badRows(rows, group, device);
}

/** Each row's products, and the sums of a walk. */
function heldBy(plan: SubgroupGradientPlan, group: Group): number {
  const { dq, dk, dv, dims } = derivativesOf(group);
  const held = (result: unknown, width: number) => (result ? heldOf(width, plan) : 0);
  return 4 * plan.rows + Math.max(held(dq, dims.d), held(dk, dims.d) + held(dv, dims.e));
}
