/**
 * A schedule as memory sees it over time: which step writes each value and which read it, how many bytes are alive in each
 * step, and what the steps cost. Steps are regions in the order in which they run.
 */
import { byteSize, results, sizeOf, type Graph, type Node } from '../ir/index.ts';
import { opDef } from '../ops/index.ts';
import { ALIGNMENT } from '../device.ts';
import type { MemoryPlan } from '../memory/plan.ts';
import type { Region } from '../fusion/regions.ts';
import { buffersOf, storedIn } from '../fusion/windows.ts';

/** A value that one step writes to memory and others read from it. */
export interface Stored {
  readonly node: Node;
  readonly bytes: number;
  readonly writtenAt: number;
  /** Steps, ascending. */
  readonly readAt: readonly number[];
  /** Needed after the last step. */
  readonly isResult: boolean;
}

export interface Timeline {
  readonly values: ReadonlyMap<Node, Stored>;
  /** What each step reads of what others wrote. */
  readonly reads: readonly (readonly Stored[])[];
  /** Work of each step: multiply-accumulates, and for what moves data as many as a load is worth. */
  readonly work: readonly number[];
  /** The step in which each node is first computed. */
  readonly firstAt: ReadonlyMap<Node, number>;
  /** The first step in which most bytes are alive. */
  readonly turn: number;
}

/** Multiply-accumulates in the time that one element takes to load or store. An estimate. */
const MEMORY = 4;

/** `regions` as they run; `lifetimes` those of the memory plan. */
export function timelineOf(graph: Graph, regions: readonly Region[], { lifetimes }: MemoryPlan): Timeline {
  const returned = new Set(results(graph));
  const writer = new Map(regions.flatMap(({ results: all }, step) => all.map(({ node }) => [node, step] as const)));
  const isBuffer = buffersOf(regions);
  const memory = regions.map((region) => [...new Set(region.reads.flatMap((node) => storedIn(node, isBuffer)))]);
  const readAt = new Map<Node, number[]>([...writer.keys()].map((node) => [node, []]));
  memory.forEach((nodes, step) => nodes.forEach((node) => readAt.get(node)?.push(step)));
  const values = new Map(
    [...writer].map(([node, writtenAt]): [Node, Stored] => {
      const isResult = returned.has(node);
      return [node, { node, bytes: byteSize(node.type), writtenAt, readAt: readAt.get(node)!, isResult }];
    }),
  );
  const firstAt = new Map<Node, number>();
  regions.forEach(({ members }, step) => {
    for (const node of members) if (!firstAt.has(node)) firstAt.set(node, step);
  });
  const reads = memory.map((nodes) => nodes.flatMap((node) => values.get(node) ?? []));
  const live = sumOver(
    regions.length,
    [...lifetimes].map(([node, { from, to }]) => [from, to, byteSize(node.type)]),
  );
  return {
    values,
    reads,
    work: regions.map(workOf),
    firstAt,
    turn: live.indexOf(live.reduce((a, b) => Math.max(a, b), 0)),
  };
}

/** For each of `steps` the sum of the bytes whose interval [from, to] holds it, in units of alignment. */
export function sumOver(
  steps: number,
  intervals: readonly (readonly [from: number, to: number, bytes: number])[],
): number[] {
  const change = new Array<number>(steps + 1).fill(0);
  for (const [from, to, bytes] of intervals) {
    const size = Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
    change[from] += size;
    if (to + 1 <= steps) change[to + 1] -= size;
  }
  let sum = 0;
  return change.slice(0, steps).map((delta) => (sum += delta));
}

/** Multiply-accumulates that a region computes. */
export const macsOf = ({ members }: Region): number =>
  members.reduce((sum, { op, inputs, attrs, type }) => {
    const operands = inputs.map((input) => input.type);
    return sum + (opDef(op).kind === 'contract' ? opDef(op).cost(operands, attrs, type).macs : 0);
  }, 0);

function workOf(region: Region): number {
  const moved = [...region.results.map(({ node }) => node), ...region.reads].reduce(
    (sum, { type }) => sum + sizeOf(type.shape),
    0,
  );
  return macsOf(region) + MEMORY * moved;
}
