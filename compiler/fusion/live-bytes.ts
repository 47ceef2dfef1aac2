/** Bytes that stored values take while kernels run one after the other: whether a value may lie there longer at no cost. */
import { byteSize, results, type Node } from '../ir/index.ts';
import { byRoot, type Fusion, type FusionGroup } from './group.ts';
import { readsOf } from './slice.ts';

/** Step sizes, say: what gives no more than this and needs no other kernel runs before all others (passes/order.ts). */
export const FEW_BYTES = 64;

/** In program order; what is computed over what, and which kernels run earlier, is decided later (memory/, free-early.ts). */
export class LiveBytes {
  /** From which kernel on each value takes memory. */
  private readonly starts = new Map<Node, number>();
  /** While each kernel runs. */
  private readonly bytes: number[];
  private readonly most: number;

  constructor({ graph, groups, stored }: Fusion) {
    const kernels = [...groups].sort(byRoot);
    const isUpdate = new Set(graph.updates.map(({ node }) => node));
    const returned = new Set(results(graph));
    const ends = new Map<Node, number>();
    kernels.forEach((group, i) => {
      for (const node of readsOf(group, stored)) ends.set(node, i + 1);
      for (const node of valuesOf(group)) if (!isUpdate.has(node)) this.starts.set(node, i);
    });
    this.bytes = kernels.map(() => 0);
    for (const [node, start] of this.starts)
      this.add(node, start, returned.has(node) ? kernels.length : (ends.get(node) ?? start + 1));
    this.most = this.bytes.reduce((most, bytes) => Math.max(most, bytes), 0);
  }

  /** Whether two kernels, run when the first of them is, leave the most that is taken at once as it is. */
  fit(one: FusionGroup, other: FusionGroup): boolean {
    const waiting = this.waiting(one, other);
    const moreAt = (kernel: number) =>
      waiting.reduce((sum, { node, end }) => sum + (kernel < end ? byteSize(node.type) : 0), 0);
    const [{ start } = { start: 0 }] = waiting;
    const end = Math.max(start, ...waiting.map((wait) => wait.end));
    return this.bytes.slice(start, end).every((bytes, i) => bytes + moreAt(start + i) <= this.most);
  }

  /** They do. */
  join(one: FusionGroup, other: FusionGroup): void {
    for (const { node, start, end } of this.waiting(one, other)) {
      this.add(node, start, end);
      this.starts.set(node, start - 1);
    }
  }

  /** Kernels that run while a value of two that run together waits for its reader, where the program computes it later. */
  private waiting(one: FusionGroup, other: FusionGroup) {
    const isLate = (node: Node) => this.starts.has(node) && byteSize(node.type) > FEW_BYTES;
    const values = [one, other].flatMap(valuesOf).filter(isLate);
    const start = Math.min(...values.map((node) => this.starts.get(node)!)) + 1;
    return values.map((node) => ({ node, start, end: this.starts.get(node)! })).filter(({ end }) => end >= start);
  }

  private add(node: Node, start: number, end: number): void {
    for (let i = start; i < end; i++) this.bytes[i] += byteSize(node.type);
  }
}

const valuesOf = ({ results: all }: FusionGroup): Node[] => all.map(({ node }) => node);
