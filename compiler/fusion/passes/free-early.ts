/**
 * The order of kernels. That of the program, except that what makes memory free runs as soon as it can: a gradient is taken
 * into the optimiser's state when it is known, and not kept until all others are. Greedy, in one pass.
 */
import { byteSize, results, type Node } from '../../ir/index.ts';
import type { FusionContext } from '../context.ts';
import { placeInProgram, type Fusion, type FusionGroup } from '../group.ts';
import { copiesIn, readsOf } from '../slice.ts';
import { isStored } from '../storage.ts';
import { buffersOf, storedIn } from '../windows.ts';

export function freeEarly(fusion: Fusion, _context: FusionContext): Fusion {
  const order = new Order(fusion);
  fusion.groups.forEach((group) => order.run(group));
  return { ...fusion, groups: order.done };
}

class Order {
  readonly done: FusionGroup[] = [];
  private readonly ran = new Set<FusionGroup>();
  /** Values that each group reads from memory. */
  private readonly reads: ReadonlyMap<FusionGroup, readonly Node[]>;
  /** Values that kernels write and that each group still waits for. */
  private readonly missing: ReadonlyMap<FusionGroup, Set<Node>>;
  private readonly readers = new Map<Node, FusionGroup[]>();
  /** Readers of each value that have not run. */
  private readonly open = new Map<Node, number>();
  private readonly returned: ReadonlySet<Node>;
  /** The state that each value replaces. */
  private readonly states: ReadonlyMap<Node, Node>;

  constructor(private readonly fusion: Fusion) {
    const { graph, groups, stored } = fusion;
    const written = new Set(groups.flatMap(writtenBy));
    const isBuffer = buffersOf(groups);
    const readBy = (group: FusionGroup) =>
      new Set([...readsOf(group, stored)].flatMap((node) => storedIn(node, isBuffer)));
    this.reads = new Map(groups.map((group) => [group, [...readBy(group)]]));
    this.missing = new Map(groups.map((r) => [r, new Set(this.reads.get(r)!.filter((node) => written.has(node)))]));
    for (const group of groups) {
      for (const node of this.reads.get(group)!) {
        this.readers.set(node, [...(this.readers.get(node) ?? []), group]);
        this.open.set(node, (this.open.get(node) ?? 0) + 1);
      }
    }
    this.returned = new Set(results(graph));
    this.states = new Map(graph.updates.map(({ state, node }) => [node, state]));
  }

  /** Runs a group, and then whatever that makes worth running. */
  run(group: FusionGroup): void {
    if (this.ran.has(group)) return;
    this.ran.add(group);
    this.done.push(group);
    const touched = this.reads.get(group)!;
    for (const node of writtenBy(group))
      for (const reader of this.readers.get(node) ?? []) this.missing.get(reader)!.delete(node);
    for (const node of touched) this.open.set(node, this.open.get(node)! - 1);
    // Who reads what was written may be ready now, and who else reads what was read may be the last to. One after the other:
    // what runs may make others worth it, or not.
    const near = new Set([...writtenBy(group), ...touched].flatMap((node) => this.readers.get(node) ?? []));
    for (const next of [...near].sort((x, y) => lastOf(x) - lastOf(y))) {
      if (!this.ran.has(next) && !this.missing.get(next)!.size && this.frees(next)) this.run(next);
    }
  }

  /** Whether a group leaves no more memory in use than there was before it. */
  private frees(group: FusionGroup): boolean {
    const written = writtenBy(group);
    const reads = this.reads.get(group)!;
    const isLast = (node: Node) => this.open.get(node) === (reads.includes(node) ? 1 : 0);
    // Written over the old values, which nobody else may want any more.
    const states = written.flatMap((node) => this.states.get(node) ?? []);
    if (!states.every((state) => isLast(state) || !this.open.has(state))) return false;
    const values = written.filter((node) => !this.states.has(node));
    if (!values.length) return true;
    // What is computed again is not wanted before its turn comes: it would be in memory all the same.
    if (copiesIn(group, this.fusion.stored).size) return false;
    const dying = reads.filter((node) => !isStored(node) && !this.returned.has(node) && isLast(node));
    const bytes = (nodes: readonly Node[]) => nodes.reduce((sum, node) => sum + byteSize(node.type), 0);
    const freed = bytes(dying);
    return freed > 0 && bytes(values) <= freed && !values.some((node) => this.returned.has(node));
  }
}

const writtenBy = ({ results: all }: FusionGroup): Node[] => all.map(({ node }) => node);

const lastOf = (group: FusionGroup): number => Math.max(...group.results.map(placeInProgram));
