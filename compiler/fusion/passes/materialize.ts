/** Chooses what lies in memory (stored.ts); what no group gives so far gets one. */
import type { Node } from '../../ir/index.ts';
import { choiceFor } from '../choice.ts';
import type { FusionContext } from '../context.ts';
import { givenBy, mapOf, type Fusion, type FusionGroup } from '../group.ts';
import { isRejected } from '../../plans/family.ts';
import { replanned } from '../planned.ts';
import { chooseStored } from '../stored.ts';

export function materialize(fusion: Fusion, context: FusionContext): Fusion {
  const stored = chooseStored(choiceFor(fusion, context));
  const planned = (group: FusionGroup): FusionGroup => {
    const whole = group.anchor ? replanned(group, stored, context) : group;
    return isRejected(whole) ? group : whole;
  };
  return { ...fusion, stored, groups: withMaps(fusion, stored).map(planned) };
}

/** The groups, and one for each stored value that none of them gives. */
export function withMaps({ groups, concats }: Fusion, stored: ReadonlySet<Node>): FusionGroup[] {
  const given = givenBy(groups);
  const others = [...stored].filter((node) => !given.has(node) && !concats.has(node));
  return [...groups, ...others.map(mapOf)];
}
