/** Rows and maps get their plans at last: nothing depends on these. */
import { isRejected } from '../../plans/family.ts';
import type { FusionContext } from '../context.ts';
import type { Fusion, FusionGroup } from '../group.ts';
import { planOf } from '../planned.ts';

export function planOthers(fusion: Fusion, context: FusionContext): Fusion {
  const planned = (group: FusionGroup): FusionGroup => {
    const plan = group.plan ?? planOf(group, fusion.stored, context);
    return isRejected(plan) ? group : { ...group, plan };
  };
  return { ...fusion, groups: fusion.groups.map(planned) };
}
