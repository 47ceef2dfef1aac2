/** The order in which kernels are formed: that of the program, where reading and overwriting allow it. */
import { byteSize, type Node } from '../../ir/index.ts';
import type { FusionContext } from '../context.ts';
import { placeInProgram, type Fusion, type FusionGroup } from '../group.ts';
import { FEW_BYTES } from '../live-bytes.ts';
import { readsOf } from '../slice.ts';
import { buffersOf, storedIn } from '../windows.ts';

/**
 * Topological: what reads comes after what writes, and, where that can be, what overwrites state after all who read the old
 * value; else in program order, by the first result. What only takes leaves and gives a few numbers comes at once: others wait
 * for it.
 */
export function order(fusion: Fusion, _context: FusionContext): Fusion {
  const { graph, groups, stored } = fusion;
  const { updates } = graph;
  const writer = new Map(groups.flatMap((group) => group.results.map(({ node }) => [node, group] as const)));
  const isBuffer = buffersOf(groups);
  const read = new Map(groups.map((group) => [group, readsOf(group, stored)]));
  const readBy = (group: FusionGroup) => new Set([...read.get(group)!].flatMap((node) => storedIn(node, isBuffer)));
  const readers = new Map<Node, FusionGroup[]>();
  for (const group of groups)
    for (const node of readBy(group)) readers.set(node, [...(readers.get(node) ?? []), group]);
  const stateOf = new Map(updates.map(({ state, node }) => [node, state]));
  const isMore = ({ results: all }: FusionGroup) => all.some(({ node }) => !stateOf.has(node));
  const waits = new Map(
    groups.map((group) => {
      const before = new Set([...readBy(group)].flatMap((node) => writer.get(node) ?? []));
      const states = group.results.flatMap(({ node }) => stateOf.get(node) ?? []);
      const old = new Set(states.flatMap((state) => readers.get(state) ?? []).filter((other) => other !== group));
      return [
        group,
        { before, old: isPreparation(group, before) && isMore(group) ? new Set<FusionGroup>() : old },
      ] as const;
    }),
  );
  const isFirst = (group: FusionGroup) => isMore(group) && isPreparation(group, waits.get(group)!.before);
  const first = (group: FusionGroup) => (isFirst(group) ? -1 : Math.min(...group.results.map(placeInProgram)));
  const left = [...groups].sort((a, b) => first(a) - first(b) || a.root.id - b.root.id);
  const done = new Set<FusionGroup>();
  const isDone = (set: ReadonlySet<FusionGroup>) => [...set].every((group) => done.has(group));
  while (left.length) {
    const ready = (group: FusionGroup) => isDone(waits.get(group)!.before);
    let next = left.findIndex((group) => ready(group) && isDone(waits.get(group)!.old));
    if (next < 0) next = left.findIndex(ready);
    if (next < 0) throw new Error('the kernels wait for each other');
    done.add(left.splice(next, 1)[0]);
  }
  return { ...fusion, groups: [...done] };
}

/** Step sizes, say: state is copied rather than waited for where it is as small. */
const isPreparation = ({ results: all }: FusionGroup, before: ReadonlySet<FusionGroup>): boolean =>
  !before.size && all.reduce((sum, { node }) => sum + byteSize(node.type), 0) <= FEW_BYTES;
