/** The order in which kernels are formed: that of the program, where reading and overwriting allow it. */
import { byteSize, type Node, type Update } from '../ir/index.ts';
import { placeInProgram, type Region } from './regions.ts';
import { buffersOf, storedIn } from './windows.ts';

/**
 * Topological: what reads comes after what writes, and, where that can be, what overwrites state after all who read the old
 * value; else in program order, by the first result. What only takes leaves and gives a few numbers comes at once: others wait
 * for it.
 */
export function inOrder(regions: readonly Region[], updates: readonly Update[]): Region[] {
  const writer = new Map(regions.flatMap((region) => region.results.map(({ node }) => [node, region] as const)));
  const isBuffer = buffersOf(regions);
  const readBy = (region: Region) => new Set(region.reads.flatMap((node) => storedIn(node, isBuffer)));
  const readers = new Map<Node, Region[]>();
  for (const region of regions)
    for (const node of readBy(region)) readers.set(node, [...(readers.get(node) ?? []), region]);
  const stateOf = new Map(updates.map(({ state, node }) => [node, state]));
  const isMore = ({ results: all }: Region) => all.some(({ node }) => !stateOf.has(node));
  const waits = new Map(
    regions.map((region) => {
      const before = new Set([...readBy(region)].flatMap((node) => writer.get(node) ?? []));
      const states = region.results.flatMap(({ node }) => stateOf.get(node) ?? []);
      const old = new Set(states.flatMap((state) => readers.get(state) ?? []).filter((other) => other !== region));
      return [
        region,
        { before, old: isPreparation(region, before) && isMore(region) ? new Set<Region>() : old },
      ] as const;
    }),
  );
  const isFirst = (region: Region) => isMore(region) && isPreparation(region, waits.get(region)!.before);
  const first = (region: Region) => (isFirst(region) ? -1 : Math.min(...region.results.map(placeInProgram)));
  const left = [...regions].sort((a, b) => first(a) - first(b) || a.root.id - b.root.id);
  const done = new Set<Region>();
  const isDone = (set: ReadonlySet<Region>) => [...set].every((region) => done.has(region));
  while (left.length) {
    const ready = (region: Region) => isDone(waits.get(region)!.before);
    let next = left.findIndex((region) => ready(region) && isDone(waits.get(region)!.old));
    if (next < 0) next = left.findIndex(ready);
    if (next < 0) throw new Error('the kernels wait for each other');
    done.add(left.splice(next, 1)[0]);
  }
  return [...done];
}

/** Step sizes, say: state is copied rather than waited for where it is as small. */
const isPreparation = ({ results: all }: Region, before: ReadonlySet<Region>): boolean =>
  !before.size && all.reduce((sum, { node }) => sum + byteSize(node.type), 0) <= FEW_BYTES;

const FEW_BYTES = 64;
