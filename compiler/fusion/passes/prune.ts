/** Values that nobody reads are not written, and what only they were computed from is not computed. */
import type { Node } from '../../ir/index.ts';
import { withParts } from '../concats.ts';
import type { FusionContext } from '../context.ts';
import { givenBy, type Fusion, type FusionGroup } from '../group.ts';
import { membersOf, readsOf } from '../slice.ts';

/** Again, while there is less left: who computed only what nobody reads had read something, too. It ends, as `stored` shrinks. */
export function prune(fusion: Fusion, context: FusionContext): Fusion {
  const left = withoutUnread(fusion, context);
  return left.stored.size < fusion.stored.size ? prune(left, context) : left;
}

function withoutUnread(fusion: Fusion, { given }: FusionContext): Fusion {
  const { groups, stored, concats } = fusion;
  const read = new Set(groups.flatMap((group) => [...withParts(readsOf(group, stored), concats)]));
  const written = [...givenBy(groups), ...concats.keys()].filter((node) => given.has(node) || read.has(node));
  const left = new Set(written);
  const inPlace = new Map([...concats].filter(([concat]) => left.has(concat)));
  const writing = groups.map((group) => pruned(group, left)).filter(({ results }) => results.length);
  return { ...fusion, groups: writing, stored: left, concats: inPlace };
}

function pruned(group: FusionGroup, written: ReadonlySet<Node>): FusionGroup {
  const results = group.results.filter(({ node }) => written.has(node)).sort((a, b) => a.node.id - b.node.id);
  const members = membersOf({ ...group, results }, written);
  const computed = (list: readonly Node[]) => list.filter((node) => members.has(node));
  const { reductions, prologue, epilogue, sums, totals, fromTotals } = group;
  return {
    ...group,
    results,
    reductions: computed(reductions),
    prologue: computed(prologue),
    epilogue: computed(epilogue),
    sums: computed(sums),
    totals: computed(totals),
    fromTotals: computed(fromTotals),
  };
}
