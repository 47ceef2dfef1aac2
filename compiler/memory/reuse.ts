/**
 * Values computed in place: a result may take over the memory of a value it reads when each of its elements reads just the
 * element it replaces, and nobody reads the old value afterwards. The residual stream of a transformer is then one buffer.
 */
import { sameShape, type Node } from '../ir/index.ts';
import { opDef } from '../ops/index.ts';
import type { Region } from '../schedule/regions.ts';
import { isStored } from '../schedule/storage.ts';
import { storedIn } from '../schedule/windows.ts';
import type { Step } from './plan.ts';

/** The regions with what each replaces, and the steps they are to memory. */
export function reuseMemory(
  regions: readonly Region[],
  results: ReadonlySet<Node>,
): { regions: Region[]; steps: Step[] } {
  const written = new Set(regions.map(({ root }) => root));
  const isBuffer = (node: Node) => written.has(node) || isStored(node);
  const memoryOf = (reads: readonly Node[]) => reads.map((node) => storedIn(node, isBuffer));
  const lastRead = new Map<Node, number>();
  regions.forEach(({ reads }, step) => memoryOf(reads).forEach((node) => lastRead.set(node, step)));
  const reusing = regions.map((region, step): Region => {
    const dies = (node: Node) => written.has(node) && !results.has(node) && lastRead.get(node) === step;
    const replaces = replaceable(region, dies);
    return replaces ? { ...region, replaces, reads: region.reads.filter((node) => node !== replaces) } : region;
  });
  const steps = reusing.map(({ root, reads, replaces }): Step => ({ writes: root, reads: memoryOf(reads), replaces }));
  return { regions: reusing, steps };
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
