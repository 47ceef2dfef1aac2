/**
 * Contractions get their plans as soon as it is known what they give: what a tile costs and can do decides on norms that products compute
 * themselves, on partial statistics, and on what is worth a buffer.
 */
import { isRejected } from '../../plans/family.ts';
import type { FusionContext } from '../context.ts';
import { givenBy, type Fusion, type FusionGroup } from '../group.ts';
import { planOf } from '../planned.ts';

export function planContractions(fusion: Fusion, context: FusionContext): Fusion {
  const given = givenBy(fusion.groups);
  const planned = (group: FusionGroup): FusionGroup => {
    const plan = group.anchor ? planOf(group, given, context) : undefined;
    // What no kernel computes is refused where kernels are made, with the reasons.
    return plan && !isRejected(plan) ? { ...group, plan } : group;
  };
  return { ...fusion, groups: fusion.groups.map(planned) };
}
