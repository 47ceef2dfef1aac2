import type { DeviceSpec } from '../../device.ts';
import { gradientOperands } from '../../ops/index.ts';
import type { Group, Planning, Rejection } from '../family.ts';
import { badRows, derivativesOf, walksCost } from '../gradient-walks.ts';
import {
  badFragments,
  preferred,
  scoreFragments,
  tall,
  wide,
  type ScoreFragments,
  type Widths,
} from '../score-fragments.ts';

/** Derivatives of attention on matrix units: own rows are queries in some workgroups, keys in others. */
export type FragmentGradientPlan = ScoreFragments;

export const planning: Planning<FragmentGradientPlan> = {
  name: 'attention-gradient-fragments',
  doc: 'Derivatives of attention on matrix units, by workgroups of their own for queries and for keys, weights computed anew.',
  computes: ['attention-queries', 'attention-keys', 'attention-values'],
  provides: ['further contractions'],
  propose,
  refuses,
  candidates: allPlans,
  cost: (plan, group) => walksCost(tall(plan), wide(plan), group),
  describe: (plan) =>
    `${tall(plan)} rows × ${wide(plan)} others at a time, fragments of ${plan.m}×${plan.n}×${plan.k} ${plan.of}`,
  byFours: () => true,
  storesFours: true,
};

/** Both walks have the same: own rows and others of scores, and of what dy gains by the values. */
export function widthsOf(group: Group): Widths {
  const { dk, dq, dv, dims } = derivativesOf(group);
  const both = [dims.d, dims.e];
  const byKey = [...(dv ? [dims.e] : []), ...(dk ? [dims.d] : [])];
  return { own: both, products: both, sums: [dq ? [dims.d] : [], byKey] };
}

const operandsOf = ({ anchor }: Group) => gradientOperands(anchor!.inputs).own.slice(0, 3);

/** The better ones first. */
function allPlans(group: Group, device: DeviceSpec): FragmentGradientPlan[] {
  const { m, n } = derivativesOf(group).dims;
  return [...scoreFragments(device, operandsOf(group), Math.max(m, n))];
}

function propose(group: Group, device: DeviceSpec): FragmentGradientPlan | Rejection {
  const { m, n } = derivativesOf(group).dims;
  const operands = operandsOf(group);
  const plans = allPlans(group, device).filter((plan) => Math.max(m, n) >= plan.m && !refuses(plan, group, device));
  const types = operands.map(({ type }) => type.dtype);
  return (
    preferred(plans, widthsOf(group), wide) ?? { rejected: `no fragments of ${device.name} hold rows of ${types}` }
  );
}

function refuses(plan: FragmentGradientPlan, group: Group, device: DeviceSpec): string | undefined {
  const widths = widthsOf(group);
  const bad = badFragments(plan, operandsOf(group), widths, wide(plan), device);
  if (bad) return bad;
  return badRows(tall(plan), group, device);
}
