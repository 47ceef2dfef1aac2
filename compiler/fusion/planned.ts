/**
 * Groups and their plans. A contraction has its plan before anything depends on the tile: a norm that the product computes itself, what
 * is worth a buffer. It keeps that as it takes in more, as long as the plan's family computes all of it; else it gets another.
 */
import { sizeOf, type Node } from '../ir/index.ts';
import { isRejected, type Cost, type Group, type Rejection } from '../plans/family.ts';
import { familyOf, planBy, planFor, type Plan, type Planner } from '../plans/registry.ts';
import type { FusionGroup } from './group.ts';
import { partsOf } from './slice.ts';

/**
 * A plan that computes a group: the one given for it, its own where that still does, or another; or why there is none. `inMemory`: values
 * that kernels leave there.
 */
export function planOf(
  group: FusionGroup,
  inMemory: ReadonlySet<Node>,
  planner: Planner,
  needs: Group['needs'] = [],
): Plan | Rejection {
  const { device, plan } = planner;
  const { reads, members } = partsOf(group, inMemory);
  const asked = { ...group, reads: [...reads], members: [...members], needs };
  const given = plan?.(asked, device);
  if (given) return planFor(asked, device, given);
  const kept = group.plan && planFor(asked, device, group.plan);
  return kept && !isRejected(kept) ? kept : planFor(asked, device);
}

/** The group with more in it, if it had a plan, by one that computes all of it; or why no kernel does. */
export function replanned(group: FusionGroup, inMemory: ReadonlySet<Node>, planner: Planner): FusionGroup | Rejection {
  const plan = planOf(group, inMemory, planner);
  if (isRejected(plan)) return plan;
  return group.plan ? { ...group, plan } : group;
}

/** How often elements of a contraction's operands are loaded by its plan, and what that hides: memory is slower than few rows are. */
export interface Loads {
  /** Elements of each operand. */
  readonly elements: readonly number[];
  /** Scalar operations on an element of each that are done by the time that its neighbours are loaded. */
  readonly hidden: readonly number[];
}

/** Scalar operations that a load (or store) of one element is worth, and that the first load of an element is. Estimates. */
export const MEMORY = 4;
const FROM_AFAR = 16;

export function loadsOf(group: FusionGroup, planner: Planner): Loads {
  const { inputs, type } = group.anchor!;
  const { loads, macs } = costBy(group.plan ?? planBy(group, planner), group);
  const batch = sizeOf(type.shape.slice(0, -2));
  const elements = inputs.map((input, i) => batch * sizeOf(input.type.shape.slice(-2)) * (loads[i] ?? 1));
  const loading = elements.map((n, i) => MEMORY * n + (FROM_AFAR - MEMORY) * sizeOf(inputs[i].type.shape));
  const idle = Math.max(0, loading.reduce((sum, n) => sum + n, 0) - macs);
  return { elements, hidden: elements.map((n) => idle / n) };
}

/** Columns of tiles: how often a product would compute a row of its left operand. */
export const columnsOf = (product: FusionGroup, planner: Planner): number =>
  costBy(planBy({ ...product, needs: ['row statistics'] }, planner), product).loads[0] ?? 1;

const costBy = (plan: Plan | Rejection, group: FusionGroup): Cost =>
  isRejected(plan) ? ONCE : familyOf(plan).cost(plan, group);

/** Of what a later pass finds that no kernel computes. */
const ONCE: Cost = { macs: Infinity, loads: [] };
