/**
 * The order of kernels. That of the program, except that what makes memory free runs as soon as it can: a gradient is taken
 * into the optimiser's state when it is known, and not kept until all others are. Greedy, in one pass.
 */
import { byteSize, results, type Graph, type Node } from '../ir/index.ts';
import { placeInProgram, type Region } from './regions.ts';
import { isStored } from './storage.ts';
import { buffersOf, storedIn } from './windows.ts';

export function orderRegions(regions: readonly Region[], graph: Graph): Region[] {
  const order = new Order(regions, graph);
  regions.forEach((region) => order.run(region));
  return order.done;
}

class Order {
  readonly done: Region[] = [];
  private readonly ran = new Set<Region>();
  /** Values that each region reads from memory. */
  private readonly reads: ReadonlyMap<Region, readonly Node[]>;
  /** Values that kernels write and that each region still waits for. */
  private readonly missing: ReadonlyMap<Region, Set<Node>>;
  private readonly readers = new Map<Node, Region[]>();
  /** Readers of each value that have not run. */
  private readonly open = new Map<Node, number>();
  private readonly returned: ReadonlySet<Node>;
  /** The state that each value replaces. */
  private readonly states: ReadonlyMap<Node, Node>;

  constructor(regions: readonly Region[], graph: Graph) {
    const written = new Set(regions.flatMap(writtenBy));
    const isBuffer = buffersOf(regions);
    const readsOf = (region: Region) => [...new Set(region.reads.flatMap((node) => storedIn(node, isBuffer)))];
    this.reads = new Map(regions.map((region) => [region, readsOf(region)]));
    this.missing = new Map(regions.map((r) => [r, new Set(this.reads.get(r)!.filter((node) => written.has(node)))]));
    for (const region of regions) {
      for (const node of this.reads.get(region)!) {
        this.readers.set(node, [...(this.readers.get(node) ?? []), region]);
        this.open.set(node, (this.open.get(node) ?? 0) + 1);
      }
    }
    this.returned = new Set(results(graph));
    this.states = new Map(graph.updates.map(({ state, node }) => [node, state]));
  }

  /** Runs a region, and then whatever that makes worth running. */
  run(region: Region): void {
    if (this.ran.has(region)) return;
    this.ran.add(region);
    this.done.push(region);
    const touched = this.reads.get(region)!;
    for (const node of writtenBy(region))
      for (const reader of this.readers.get(node) ?? []) this.missing.get(reader)!.delete(node);
    for (const node of touched) this.open.set(node, this.open.get(node)! - 1);
    // Who reads what was written may be ready now, and who else reads what was read may be the last to. One after the other:
    // what runs may make others worth it, or not.
    const near = new Set([...writtenBy(region), ...touched].flatMap((node) => this.readers.get(node) ?? []));
    for (const next of [...near].sort((x, y) => lastOf(x) - lastOf(y))) {
      if (!this.ran.has(next) && !this.missing.get(next)!.size && this.frees(next)) this.run(next);
    }
  }

  /** Whether a region leaves no more memory in use than there was before it. */
  private frees(region: Region): boolean {
    const written = writtenBy(region);
    const reads = this.reads.get(region)!;
    const isLast = (node: Node) => this.open.get(node) === (reads.includes(node) ? 1 : 0);
    // Written over the old values, which nobody else may want any more.
    const states = written.flatMap((node) => this.states.get(node) ?? []);
    if (!states.every((state) => isLast(state) || !this.open.has(state))) return false;
    const values = written.filter((node) => !this.states.has(node));
    if (!values.length) return true;
    // What is computed again is not wanted before its turn comes: it would be in memory all the same.
    if (region.members.some(({ copy }) => copy !== undefined)) return false;
    const dying = reads.filter((node) => !isStored(node) && !this.returned.has(node) && isLast(node));
    const bytes = (nodes: readonly Node[]) => nodes.reduce((sum, node) => sum + byteSize(node.type), 0);
    const freed = bytes(dying);
    return freed > 0 && bytes(values) <= freed && !values.some((node) => this.returned.has(node));
  }
}

const writtenBy = ({ results: all }: Region): Node[] => all.map(({ node }) => node);

const lastOf = (region: Region): number => Math.max(...region.results.map(placeInProgram));
