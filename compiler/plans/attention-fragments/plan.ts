import { sizeOf } from '../../ir/index.ts';
import type { DeviceSpec } from '../../device.ts';
import { badGrid, type Group, type Planning, type Rejection } from '../family.ts';
import { onlineCost, sizesOf } from '../online-attention.ts';
import {
  badFragments,
  preferred,
  scoreFragments,
  scoreOrder,
  tall,
  wide,
  type ScoreFragments,
} from '../score-fragments.ts';

/** Attention on matrix units: own rows are queries, the others keys. */
export type FragmentAttentionPlan = ScoreFragments;

export const planning: Planning<FragmentAttentionPlan> = {
  name: 'attention-fragments',
  doc: 'Attention on matrix units: a walk over the keys for the largest score of each row, and one for the weights and the output.',
  computes: ['attention'],
  provides: ['further contractions'],
  propose,
  refuses,
  candidates: allPlans,
  order: scoreOrder,
  cost(plan, group) {
    const { d, e } = sizesOf(group);
    const { macs, loads } = onlineCost(group, tall(plan));
    const twice = loads.map((count, i) => (i === 1 || i > 2 ? 2 * count : count));
    return { macs: (macs * (2 * d + e)) / (d + e), loads: twice };
  },
  describe: (plan) =>
    `${tall(plan)} queries × ${wide(plan)} keys at a time, fragments of ${plan.m}×${plan.n}×${plan.k} ${plan.of}, keys twice`,
  byFours: () => true,
  storesFours: true,
};

/** Workgroups that keep most GPUs busy: two for each of some thirty cores. */
const ENOUGH_WORKGROUPS = 64;

export function widthsOf(group: Group) {
  const { d, e } = sizesOf(group);
  return { own: [d], products: [d], sums: [[e]] };
}

/** A vector of f32 for four rows. */
const factsOf = (plan: ScoreFragments): number => Math.ceil(tall(plan) / 4);

/** The better ones first. */
function allPlans(group: Group, device: DeviceSpec): FragmentAttentionPlan[] {
  return [...scoreFragments(device, group.anchor!.inputs.slice(0, 3), sizesOf(group).n)];
}

function propose(group: Group, device: DeviceSpec): FragmentAttentionPlan | Rejection {
  const { m } = sizesOf(group);
  const operands = group.anchor!.inputs.slice(0, 3);
  const workgroups = (rows: number) => sizeOf(group.anchor!.type.shape.slice(0, -2)) * Math.ceil(m / rows);
  const plans = allPlans(group, device).filter((plan) => m >= plan.m && !refuses(plan, group, device));
  if (!plans.length)
    return {
      rejected: `no fragments of ${device.name} hold ${m} queries of ${operands.map(({ type }) => type.dtype)}`,
    };
  const isFilled = (plan: ScoreFragments) => m > tall(plan) / 2 && workgroups(tall(plan)) >= ENOUGH_WORKGROUPS;
  return preferred(plans, widthsOf(group), factsOf, isFilled)!;
}

function refuses(plan: FragmentAttentionPlan, group: Group, device: DeviceSpec): string | undefined {
  const widths = widthsOf(group);
  const bad = badFragments(plan, group.anchor!.inputs.slice(0, 3), widths, factsOf(plan), device);
  if (bad) return bad;
  return badGrid(group.anchor!, { rows: tall(plan), columns: Infinity }, device);
}
