/**
 * Rewrites a graph so that what runs after the turn reads copies of what the chosen segments computed, made just before their
 * first reader. Copied nodes are told from the originals by their `copy`, which segment they are of; it also tells fusion that they
 * are to run late. It changes no value.
 */
import { GraphBuilder, mapGraph, nodesOf, type Graph, type Node } from '../ir/index.ts';
import { opDef, opTable } from '../ops/index.ts';
import { isStored } from '../fusion/storage.ts';
import type { Segment } from './choose.ts';
import type { Timeline } from './timeline.ts';

export const computeAgain = (graph: Graph, timeline: Timeline, segments: readonly Segment[]): Graph =>
  new Copier(graph, timeline, segments).run();

/** A reader after the turn that is in no copy. */
const NO_COPY = -1;

class Copier {
  private readonly builder = new GraphBuilder(opTable);
  private readonly mapped = new Map<Node, Node>();
  /** What is read instead of each node: in the copy of each segment, and outside of copies. */
  private readonly seen = new Map<number, Map<Node, Node>>();
  private readonly graph: Graph;
  private readonly timeline: Timeline;
  private readonly segments: readonly Segment[];
  /** Marks below are taken. */
  private readonly firstMark: number;

  constructor(graph: Graph, timeline: Timeline, segments: readonly Segment[]) {
    this.graph = graph;
    this.timeline = timeline;
    this.segments = segments;
    this.firstMark = nodesOf(graph).reduce((least, { copy = -1 }) => Math.max(least, copy + 1), 0);
  }

  /** Nodes are made in the order in which the schedule computes them: so copies come when it wants them, and nothing moves. */
  run(): Graph {
    const computed = [...this.timeline.firstAt].sort(([x, i], [y, j]) => i - j || x.id - y.id);
    for (const [node] of computed) this.of(node);
    return mapGraph(this.graph, (node) => this.of(node));
  }

  private isLate(node: Node): boolean {
    const step = this.timeline.firstAt.get(node);
    return step !== undefined && step > this.timeline.turn;
  }

  /** The node in the new graph; what no kernel computes (a leaf, a window of a value) is made when it is read. */
  private of(node: Node): Node {
    const known = this.mapped.get(node);
    if (known) return known;
    const inputs = node.inputs.map((input) => (this.isLate(node) ? this.read(input, NO_COPY) : this.of(input)));
    const made = this.make(node, inputs, node.copy);
    this.mapped.set(node, made);
    return made;
  }

  private make(node: Node, inputs: readonly Node[], copy?: number): Node {
    const made = this.builder.apply(node.op, inputs, node.attrs, node, copy);
    made.origin ??= node.origin;
    return made;
  }

  /** What a reader after the turn reads for a node; `reader` is the segment whose copy it belongs to. */
  private read(node: Node, reader: number): Node {
    if (opDef(node.op).kind === 'leaf' || isStored(node) || this.isLate(node)) return this.of(node);
    const isBuffer = this.timeline.values.has(node);
    const copy = isBuffer ? this.segments.findIndex(({ local }) => local.has(node)) : reader;
    if (isBuffer && copy === NO_COPY) return this.of(node);
    const seen = this.seen.get(copy) ?? new Map<Node, Node>();
    this.seen.set(copy, seen);
    const known = seen.get(node) ?? this.copy(node, copy, isBuffer);
    seen.set(node, known);
    return known;
  }

  private copy(node: Node, copy: number, isBuffer: boolean): Node {
    const inputs = node.inputs.map((input) => this.read(input, copy));
    // Who only looks at a value differently copies nothing, unless that is what is written.
    const isMarked = copy !== NO_COPY && (isBuffer || opDef(node.op).kind !== 'view');
    return this.make(node, inputs, isMarked ? this.firstMark + copy : node.copy);
  }
}
