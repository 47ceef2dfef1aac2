/**
 * Values computed in place: a result may take over the memory of a value it reads when each of its elements reads just the
 * element it replaces, and nobody reads the old value afterwards. The residual stream of a transformer is then one buffer,
 * and state (an optimiser's moments, the picture being denoised) is updated where it lies.
 */
import { labelOf, results, sameShape, type Graph, type Node, type Remarks, type Update } from '../ir/index.ts';
import { opDef } from '../ops/index.ts';
import type { Region } from '../schedule/regions.ts';
import { isStored } from '../schedule/storage.ts';
import { storedIn } from '../schedule/windows.ts';
import type { Step } from './plan.ts';

export interface Reuse {
  /** The regions, with what each replaces. */
  readonly regions: readonly Region[];
  readonly steps: readonly Step[];
  /** Values written straight into the state (or parameter) that they update. */
  readonly homes: ReadonlyMap<Node, Node>;
}

export function reuseMemory(regions: readonly Region[], graph: Graph, remarks?: Remarks): Reuse {
  const returned = new Set(results(graph));
  const written = new Set(regions.map(({ root }) => root));
  const isBuffer = (node: Node) => written.has(node) || isStored(node);
  const memoryOf = ({ reads }: Region) => reads.map((node) => storedIn(node, isBuffer));
  const lastRead = new Map<Node, number>();
  regions.forEach((region, step) => memoryOf(region).forEach((node) => lastRead.set(node, step)));
  // A window of state is not a binding: what is read by windows lives in an arena.
  const cut = new Set(
    regions.flatMap(({ reads }) => reads.filter((n) => !isBuffer(n)).map((n) => storedIn(n, isBuffer))),
  );
  const homes = new Map<Node, Node>();
  const reusing = regions.map((region, step): Region => {
    const { root } = region;
    const update = cut.has(root) ? undefined : graph.updates.find((u) => u.node === root && !returned.has(u.state));
    const inPlace = update && settles(region, update, lastRead.get(update.state) ?? -1, step);
    if (inPlace) homes.set(root, update.state);
    if (inPlace === 'unread') return region;
    const dies = (node: Node) => written.has(node) && !returned.has(node) && lastRead.get(node) === step;
    const replaces = inPlace ? update!.state : replaceable(region, dies);
    if (replaces) {
      const why = `${labelOf(replaces)} is read by no one after it, and element by element`;
      remarks?.applied('in-place', [root, replaces], why);
    }
    return replaces ? { ...region, replaces, reads: region.reads.filter((node) => node !== replaces) } : region;
  });
  const steps = reusing.map((region): Step => {
    const home = homes.has(region.root);
    return {
      reads: memoryOf(region),
      writes: home ? undefined : region.root,
      replaces: home ? undefined : region.replaces,
    };
  });
  return { regions: reusing, steps, homes };
}

/** Whether a region may write an update's value over the old state: nobody reads that then, or only the region, in place. */
function settles(region: Region, { state }: Update, lastRead: number, step: number): 'unread' | 'replaced' | undefined {
  if (lastRead < step) return 'unread';
  return lastRead === step && replaceable(region, (node) => node === state) ? 'replaced' : undefined;
}

/** The read that a region's root may replace: an intermediate value of its type that dies here. */
function replaceable(region: Region, diesHere: (node: Node) => boolean): Node | undefined {
  const { root } = region;
  const elsewhere = readElsewhere(region);
  return region.reads.find((node) => node.type.dtype === root.type.dtype && !elsewhere.has(node) && diesHere(node));
}

/** Nodes of the region, and reads, of which some element of the root needs another element than its own. */
function readElsewhere({ root, members }: Region): Set<Node> {
  const elsewhere = new Set<Node>();
  // Members are in topological order: from the root down, all users of a node are settled before it.
  for (const node of [...members].reverse()) {
    const elementwise = opDef(node.op).kind === 'pointwise' && sameShape(node.type.shape, root.type.shape);
    for (const input of node.inputs) {
      const own = elementwise && !elsewhere.has(node) && sameShape(input.type.shape, root.type.shape);
      if (!own) elsewhere.add(input);
    }
  }
  return elsewhere;
}
