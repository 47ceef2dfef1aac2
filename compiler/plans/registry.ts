/**
 * The ways to compute a fusion group, the better ones first: a group's plan is the geometry of the first family that admits it.
 * A new family is a folder beside this file and a line here.
 */
import { DitcError, labelOf, type Node, type Remarks } from '../ir/index.ts';
import type { DeviceSpec } from '../device.ts';
import attention from './attention/index.ts';
import attentionFragments from './attention-fragments/index.ts';
import attentionGradient from './attention-gradient/index.ts';
import attentionGradientFragments from './attention-gradient-fragments/index.ts';
import attentionGradientSubgroup from './attention-gradient-subgroup/index.ts';
import attentionGradientTiled from './attention-gradient-tiled/index.ts';
import attentionSubgroup from './attention-subgroup/index.ts';
import attentionTiled from './attention-tiled/index.ts';
import {
  groupOf,
  isRejected,
  kindOf,
  type Family,
  type Geometry,
  type Group,
  type Need,
  type Rejection,
} from './family.ts';
import map from './map/index.ts';
import mapTurned from './map-turned/index.ts';
import productFragments from './product-fragments/index.ts';
import productColumns from './product-columns/index.ts';
import productDot from './product-dot/index.ts';
import productDotSubgroup from './product-dot-subgroup/index.ts';
import productSimple from './product-simple/index.ts';
import productSubgroup from './product-subgroup/index.ts';
import productTiled from './product-tiled/index.ts';
import productTiledVec4 from './product-tiled-vec4/index.ts';
import type { Plan } from './plan.ts';
import row from './row/index.ts';
import rowVectors from './row-vectors/index.ts';
import scan from './scan/index.ts';
import type { Tiles } from './tile-partials.ts';

export const FAMILIES: readonly Family[] = [
  productSubgroup,
  productFragments,
  productDotSubgroup,
  productColumns,
  productDot,
  productTiledVec4,
  productTiled,
  productSimple,
  attentionFragments,
  attentionTiled,
  attentionSubgroup,
  attention,
  attentionGradientFragments,
  attentionGradientTiled,
  attentionGradientSubgroup,
  attentionGradient,
  scan,
  rowVectors,
  row,
  mapTurned,
  map,
];

export type { Plan };

/**
 * The plan of a group: `wanted`, or that of the first family that admits it; else every family's reason. It may be asked before
 * the group is whole, for what is to be fused (`needs`); the answer does not change with what is fused besides.
 */
export function planFor(group: Group, device: DeviceSpec, wanted?: Plan): Plan | Rejection {
  if (wanted) return familyOf(wanted).admits(group, device, wanted);
  const reasons: string[] = [];
  for (const { name, computes, admits } of FAMILIES) {
    if (!computes.includes(kindOf(group))) continue;
    const answer = admits(group, device);
    if (!isRejected(answer)) return answer;
    reasons.push(`${name}: ${answer.rejected}`);
  }
  return { rejected: reasons.join('; ') || `no family computes ${kindOf(group)}` };
}

/** Who chooses plans: the families, for a device; where something from outside gives one, that. */
export interface Planner {
  readonly device: DeviceSpec;
  readonly plan?: (group: Group, device: DeviceSpec) => Plan | undefined;
}

/** The plan of a group, or as much of one as has been decided: the one given for it, or that of the families. */
export const planBy = (group: Group, { device, plan }: Planner): Plan | Rejection =>
  planFor(group, device, plan?.(group, device));

/**
 * The plans of a group that are worth measuring on the device, each once: the one it has, then those of all families. All are
 * legal. Of a `steady` device only those that add up in the order of the first.
 */
export function candidatesFor(group: Group, device: DeviceSpec, own: Plan): Plan[] {
  const found = new Map([[planText(own), own]]);
  for (const { computes, admits, candidates } of FAMILIES) {
    if (!computes.includes(kindOf(group))) continue;
    for (const wanted of [undefined, ...candidates(group, device)]) {
      const plan = admits(group, device, wanted);
      if (!isRejected(plan) && !found.has(planText(plan))) found.set(planText(plan), plan);
    }
  }
  const plans = [...found.values()];
  return device.steady ? plans.filter((plan) => orderOf(plan, group) === orderOf(own, group)) : plans;
}

/** `product-dot lanes=64 share=16`: equal for equal plans. */
export function planText({ family, ...geometry }: Geometry): string {
  const keys = Object.entries(geometry).sort(([a], [b]) => (a < b ? -1 : 1));
  return [family, ...keys.map(([key, value]) => `${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`)].join(' '); // prettier-ignore
}

const orderOf = (plan: Plan, group: Group): string =>
  `${plan.family} ${familyOf(plan).order?.(plan, group) ?? planText(plan)}`;

/** Why no plan computes a group: neither the one given for it, nor any of a family; undefined where one does. */
export function whyNotPlanned(group: Group, planner: Planner): string | undefined {
  const plan = planBy(group, planner);
  return isRejected(plan) ? `no kernel computes ${labelOf(group.root)} so: ${plan.rejected}` : undefined;
}

/** The plan of a group, with a remark on what the families before it said. Throws where there is none, and where `wanted` is refused. */
export function choosePlan(group: Group, device: DeviceSpec, remarks?: Remarks, wanted?: Plan): Plan {
  const plan = planFor(group, device, wanted);
  if (isRejected(plan)) throw unplanned(group, device, plan, wanted);
  const passedOver = remarks ? rejectionsBefore(plan, group, device) : [];
  const why = `${plan.family}, ${describePlan(plan)}; not ${passedOver.join('; not ')}`;
  if (passedOver.length) remarks?.applied('plans', [group.root], why);
  return plan;
}

/** What the families said that come before the one of a plan. */
const rejectionsBefore = (plan: Plan, group: Group, device: DeviceSpec): string[] =>
  FAMILIES.slice(0, FAMILIES.indexOf(familyOf(plan))).flatMap(({ name, computes, admits }) => {
    const answer = computes.includes(kindOf(group)) ? admits(group, device) : undefined;
    return answer && isRejected(answer) ? [`${name}: ${answer.rejected}`] : [];
  });

function unplanned(group: Group, device: DeviceSpec, { rejected }: Rejection, wanted?: Plan): DitcError {
  const label = labelOf(group.root);
  const what = wanted ? `${wanted.family} does not compute ${label}` : `no plan computes ${label} on ${device.name}`;
  const fix = wanted ? 'leave the plan to the compiler, or give one that fits' : 'use smaller sizes, or another device';
  return new DitcError({ code: 'limit', where: group.root.loc, what, why: rejected, fix });
}

/** The family that a plan names. */
export function familyOf({ family }: Geometry): Family {
  const found = FAMILIES.find(({ name }) => name === family);
  if (found) return found;
  const names = FAMILIES.map(({ name }) => name).join(', ');
  throw new DitcError({ code: 'unsupported', what: `there is no plan family ${family}`, fix: `one of ${names}` });
}

export const describePlan = (plan: Plan): string => familyOf(plan).describe(plan);

/**
 * The square tiles of a product whose kernel shall compute statistics of its operand's rows, or reductions of its result; or why
 * it has none, or better ones without those. `need`: which of them is in question.
 */
export function tilesFor(product: Node, { device, plan }: Planner, need?: Need): Tiles | Rejection {
  const needs = ['row statistics', 'stored rows', 'partial reductions', 'totals'] as const;
  const group = groupOf(product);
  const asked = { ...group, needs: need ? [need] : needs };
  const given = plan?.(asked, device);
  if (given) return planFor(asked, device, given) as unknown as Tiles | Rejection;
  const [alone, tiles] = [planFor(group, device), planFor({ ...group, needs }, device)];
  if (isRejected(alone) || isRejected(tiles) || alone.family === tiles.family) return tiles as Tiles | Rejection;
  return { rejected: `it is computed better without them, by ${describePlan(alone)}` };
}

/**
 * Whether a kernel computes a contraction alone; where none does, the families' reasons are remarked. A plan that is given for it is one:
 * where it is none for it, that is told when kernels are made.
 */
export function hasKernel(anchor: Node, planner: Planner, remarks?: Remarks): boolean {
  const group = groupOf(anchor);
  const why = planner.plan?.(group, planner.device) ? undefined : whyNotPlanned(group, planner);
  if (why) remarks?.missed('expand', [anchor], why);
  return why === undefined;
}
