/**
 * Values computed in place: a result may take over the memory of a value it reads when each of its elements reads just the
 * element it replaces, and nobody reads the old value afterwards. The residual stream of a transformer is then one buffer,
 * and state (an optimiser's moments, the picture being denoised) is updated where it lies.
 */
import { labelOf, results, sameShape, sizeOf, type Graph, type Node, type Remarks, type Update } from '../ir/index.ts';
import { opDef, keepsOrder, writesSlice } from '../ops/index.ts';
import { bindingsOverlap, bufferOf, sharing, type Packed } from '../rewrite/packs.ts';
import { partsIn } from '../fusion/concats.ts';
import { samePlaces, type Result } from '../fusion/group.ts';
import { bindingsOf, type Region } from '../fusion/regions.ts';
import { buffersOf, storedIn } from '../fusion/windows.ts';
import { boundBundles, NO_BUNDLES, type Bundles } from '../fusion/bundles.ts';
import { leadsIn } from './leads.ts';
import type { Step } from './plan.ts';
import { stretchesOf } from './stretches.ts';

export interface Reuse {
  /** The regions, with what each replaces. */
  readonly regions: readonly Region[];
  readonly steps: readonly Step[];
  /** Values written straight into the state (or parameter) that they update. */
  readonly homes: ReadonlyMap<Node, Node>;
}

interface Facts {
  readonly remarks?: Remarks;
  readonly bundles?: Bundles;
  /** The packs of the model, those of other graphs among them. */
  readonly packed: Packed;
}

export function reuseMemory(
  regions: readonly Region[],
  graph: Graph,
  { remarks, bundles = NO_BUNDLES, packed }: Facts,
): Reuse {
  const returned = new Set(results(graph).flatMap(sharing));
  const written = new Set(regions.flatMap((region) => region.results.map(({ node }) => node)));
  const isBuffer = buffersOf(regions);
  const parts = partsIn(regions);
  const memoryOf = ({ reads }: Region) => reads.flatMap((node) => storedIn(node, isBuffer));
  const lastRead = new Map<Node, number>();
  regions.forEach((region, step) => memoryOf(region).forEach((node) => lastRead.set(node, step)));
  // A window of state is not a binding: what is read by windows lives in an arena. So does what is a part of a whole.
  const cut = new Set(
    regions.flatMap(({ reads, spans }) =>
      reads.filter((n) => !isBuffer(n) || spans.has(n)).flatMap((n) => storedIn(n, isBuffer)),
    ),
  );
  const homes = new Map<Node, Node>();
  const buffer = (node: Node) => bufferOf(node, packed);
  const updateIn = (node: Node) =>
    cut.has(node) ? undefined : graph.updates.find((u) => u.node === node && !returned.has(u.state));
  /**
   * A dispatch reads a buffer or writes to it: of a pack it reads nothing but what it writes over, all of it or none. What it writes it
   * binds apart.
   */
  const isWritable = (state: Node, { reads, results: all }: Region, own: OwnReads, step: number) => {
    const isOver = (read: Node) =>
      lastRead.get(read) === step &&
      all.some((result) => updateIn(result.node)?.state === read && own.get(result)!.includes(read));
    const read = reads.filter((node) => buffer(homes.get(node) ?? node) === buffer(state));
    const written = all.flatMap(({ node }) => homes.get(node) ?? []);
    const bound = [...new Set([state, ...read])];
    const areApart = bound.every((one, i) => !bound.slice(i + 1).some((other) => bindingsOverlap(one, other, packed)));
    return read.every(isOver) && areApart && !written.some((other) => bindingsOverlap(other, state, packed));
  };
  const inPlace = regions.map((region, step): Region => {
    const own = ownReads(region);
    const replaces = new Map<Node, Node>();
    for (const result of region.results) {
      const { node } = result;
      const replaceable = (dies: (old: Node) => boolean) =>
        (own.get(result) ?? []).find((old) => ![...replaces.values()].includes(old) && dies(old));
      const update = updateIn(node);
      const settled =
        update &&
        isWritable(update.state, region, own, step) &&
        settles(update, replaceable, lastRead.get(update.state) ?? -1, step);
      if (settled) homes.set(node, update.state);
      // A part has its place in the whole.
      if (settled === 'unread' || parts.has(node)) continue;
      const dies = (old: Node) =>
        written.has(old) && !parts.has(old) && !returned.has(old) && lastRead.get(old) === step;
      const old = settled ? update!.state : replaceable(dies);
      if (!old) continue;
      replaces.set(node, old);
      remarks?.applied('in-place', [node, old], `${labelOf(old)} is read by no one after it, and element by element`);
    }
    const replaced = new Set(replaces.values());
    return { ...region, replaces, reads: region.reads.filter((node) => !replaced.has(node)) };
  });
  const leadsOf = leadsIn({ homes, packed, parts, isBuffer });
  const reusing = inPlace.map((region): Region => {
    const together = [...boundBundles(region, homes, bundles), ...stretchesOf(region, parts)];
    return { ...region, bundles: together, leads: leadsOf(region) };
  });
  const steps = reusing.map((region): Step => {
    const values = region.results.filter(({ node }) => !homes.has(node));
    const writes = values.map(({ node }) => ({ node, replaces: region.replaces.get(node), part: parts.get(node) }));
    return { reads: memoryOf(region), writes };
  });
  return { regions: reusing, steps, homes };
}

/**
 * State that kernels were joined to write over (fusion/merging.ts) and cannot, which makes them bind more than `most` buffers:
 * another kernel reads the old value later, or they read it elsewhere than where they write.
 */
export function crowding(regions: readonly Region[], { updates }: Graph, most: number): Node[] {
  const crowded = regions.filter((region) => bindingsOf(region).length > most);
  return crowded.flatMap(({ reads, results: all }) =>
    updates.flatMap(({ state, node }) =>
      reads.includes(state) && all.some((result) => result.node === node) ? [state] : [],
    ),
  );
}

/** Whether a region may write an update's value over the old state: nobody reads that then, or only the region, in place. */
function settles(
  { state }: Update,
  replaceable: (dies: (old: Node) => boolean) => Node | undefined,
  lastRead: number,
  step: number,
): 'unread' | 'replaced' | undefined {
  if (lastRead < step) return 'unread';
  return lastRead === step && replaceable((node) => node === state) ? 'replaced' : undefined;
}

/** Where a value is needed: at the index of the results behind the same views, or elsewhere. */
type Need = Omit<Result, 'node'> | 'elsewhere';

/** Of each result, what its kernel reads at no other element than it computes. */
type OwnReads = ReadonlyMap<Result, readonly Node[]>;

/** The reads of each result's type that the kernel needs only where it computes the same element of the result. */
function ownReads({ results: all, members, reads }: Region): OwnReads {
  const needed = new Map<Node, Need>();
  const need = (node: Node, at: Need) => needed.set(node, together(needed.get(node) ?? at, at) ? at : 'elsewhere');
  for (const result of all) need(result.node, flat(result));
  // Members are in topological order: from the last down, all users of a node are settled before it.
  for (const node of [...members].reverse()) {
    for (const [i, input] of node.inputs.entries()) {
      const at = needed.get(node)!;
      const isKept = writesSlice(node) && i === 2;
      const pointwise = isKept || (opDef(node.op).kind === 'pointwise' && sameShape(node.type.shape, input.type.shape));
      const regrouped = keepsOrder(node) && at !== 'elsewhere' && !at.views.length;
      need(input, pointwise || regrouped ? at : 'elsewhere');
    }
  }
  const isOwn = (read: Node, result: Result) =>
    together(needed.get(read)!, flat(result)) && sameBytes(read, result.node);
  return new Map(all.map((result) => [result, reads.filter((read) => isOwn(read, result))]));
}

/** Reshapes leave elements where they lie in memory: behind them alone, a value is as behind no view at all. */
const flat = ({ anchor, views }: Result): Exclude<Need, string> => {
  return { anchor, views: views.every(keepsOrder) ? [] : views };
};

const sameBytes = (a: Node, b: Node): boolean =>
  a.type.dtype === b.type.dtype && sizeOf(a.type.shape) === sizeOf(b.type.shape);

const together = (a: Need, b: Need): boolean => a !== 'elsewhere' && b !== 'elsewhere' && samePlaces(a, b);
