/**
 * Division: a loop becomes a part of its own, which is compiled once and run for each turn. What comes before it is another part,
 * and the rest of the graph reads what it left. Between parts values lie in state that nobody else sees.
 *
 * Before: ys = loop(h, xs, w) {h', y = body(h, xs[i], w)}     After: before: h_ = h, i = 0
 *         out = f(ys)                                                turn:   h_ = h', ys_[i] = y, i = i + 1   (count times)
 *                                                                    whole:  out = f(ys_)
 */
import {
  graphKey,
  GraphBuilder,
  nodesOf,
  rebuild,
  type Graph,
  type Node,
  type TensorType,
  type Update,
} from '../ir/index.ts';
import { Functional, isLoop, loopKey, loopParts, opDef, opTable, type LoopParts } from '../ops/index.ts';
import type { ModelContext } from './pass.ts';
import { recogniseAll } from './recognise.ts';
import { simplify } from './simplify.ts';

/** The pass. Parts are recognised as graphs are that were never anything else. */
export function divideAll(graphs: readonly Graph[], context: ModelContext): readonly Graph[] {
  const divided = graphs.flatMap(divide);
  if (divided.length === graphs.length) return graphs;
  const isWhole = (graph: Graph) => graphs.includes(graph);
  const recognised = recogniseAll(
    divided.map((graph) => (isWhole(graph) ? graph : simplify(graph))),
    context,
  );
  return divided.map((graph, i) => (isWhole(graph) ? graph : recognised[i]));
}

/** The parts of a graph in the order in which they run first, and last what is left of it. */
export function divide(whole: Graph): Graph[] {
  const graph = joined(whole);
  const loops = loopsOf(graph);
  return loops.length ? new Division(graph, loops).parts() : [whole];
}

/** Derivatives ask for a loop again that gives more than the same: then that one gives all. */
function joined(graph: Graph): Graph {
  const loops = nodesOf(graph).filter(isLoop);
  const isMore = (more: Node, node: Node) => {
    const [longer, shorter] = [more, node].map(({ attrs }) => loopParts(attrs).body);
    const outputs = longer.outputs.slice(0, shorter.outputs.length);
    if (longer.outputs.length <= shorter.outputs.length || graphKey({ ...longer, outputs }) !== graphKey(shorter)) return false; // prettier-ignore
    return loopKey({ ...more, attrs: { ...more.attrs, body: shorter } }) === loopKey(node);
  };
  const size = ({ attrs }: Node) => loopParts(attrs).body.outputs.length;
  const most = new Map<Node, Node>();
  for (const node of loops)
    for (const more of loops) if (isMore(more, node) && size(more) > size(most.get(node) ?? node)) most.set(node, more);
  if (!most.size) return graph;
  return rebuild(graph, opTable, (node, inputs, builder) => {
    const more = most.get(node);
    return more && builder.apply(node.op, inputs, { ...more.attrs, result: node.attrs.result }, node);
  });
}

interface Loop extends LoopParts {
  /** Of its part, and before those of its states. */
  readonly name: string;
  readonly key: string;
  /** Names of what the inputs of its body are in: unlike each other. */
  readonly names: readonly string[];
  readonly operands: readonly Node[];
}

function loopsOf(graph: Graph): Loop[] {
  const loops = new Map<string, Loop>();
  for (const node of nodesOf(graph).filter(isLoop)) {
    const key = loopKey(node);
    if (loops.has(key)) continue;
    const parts = loopParts(node.attrs);
    const taken = [...loops.values()].map(({ name }) => name);
    const name = unlike(taken, `${graph.name}.${parts.body.name}`);
    loops.set(key, { ...parts, name, key, names: namesIn(parts.body, name), operands: node.inputs });
  }
  return [...loops.values()];
}

function namesIn({ inputs }: Graph, prefix: string): string[] {
  const names: string[] = [];
  for (const { attrs } of inputs) names.push(unlike(names, `${prefix}.${lettersOf(String(attrs.name))}`));
  return names;
}

/** The letters that names of files may have. */
const lettersOf = (text: string): string => text.replace(/[^\p{L}\d_]/gu, '_');

function unlike(taken: readonly string[], base: string): string {
  let name = base;
  for (let i = 1; taken.includes(name); i++) name = `${base}.${i}`;
  return name;
}

/** What a part computes anew rather than have it kept: no more than a few operations an element. */
const isHeavy = ({ op }: Node): boolean => ['contract', 'reduce', 'composite'].includes(opDef(op).kind);

class Division {
  /** States that hold values from the part on that computes them, and that part's number. */
  private readonly kept = new Map<Node, { readonly name: string; readonly by: number }>();
  private readonly loops: ReadonlyMap<string, Loop>;

  constructor(
    private readonly graph: Graph,
    private readonly list: readonly Loop[],
  ) {
    this.loops = new Map(list.map((loop) => [loop.key, loop]));
    const targets = [
      ...list.map(({ operands }) => operands),
      [...graph.outputs, ...graph.updates].map(({ node }) => node),
    ];
    this.keep(targets);
  }

  parts(): Graph[] {
    const before = this.list.flatMap((loop, at) => [this.before(loop, at), ...divide(this.turn(loop))]);
    return [...before, this.rest()];
  }

  /** What loops read, and what is too much to compute in two parts, is kept. */
  private keep(targets: readonly (readonly Node[])[]): void {
    const computed = new Map<Node, number>();
    targets.forEach((nodes, part) => {
      const loop = this.list.at(part);
      for (const [i, node] of (loop?.operands ?? []).entries()) {
        const isRead = i >= loop!.carries && node.inputs.length > 0 && !isLoop(node);
        if (isRead && !this.kept.has(node)) this.kept.set(node, { name: loop!.names[i], by: part });
      }
      // What is only on the way to a value that is kept stays in the part that computes it.
      const reached = this.reached(nodes, part, (node) => {
        const by = computed.get(node) ?? part;
        if (by < part && isHeavy(node)) this.kept.set(node, { name: this.nameFor(this.list[by], node), by });
      });
      for (const node of reached) if (!computed.has(node)) computed.set(node, part);
    });
  }

  private nameFor({ name }: Loop, node: Node): string {
    const taken = [...this.kept.values()].map((kept) => kept.name);
    return unlike(taken, `${name}.${lettersOf(node.name ?? node.op)}.kept`);
  }

  /** What a part computes to have some values, in order. `decide` may have a value kept as it is met. */
  private reached(targets: readonly Node[], part: number, decide?: (node: Node) => void): Node[] {
    const isThere = (node: Node) => (this.kept.get(node)?.by ?? part) < part;
    const seen = new Set<Node>();
    const stack = [...targets];
    while (stack.length) {
      const node = stack.pop()!;
      if (seen.has(node) || isLoop(node) || !node.inputs.length || isThere(node)) continue;
      decide?.(node);
      if (isThere(node)) continue;
      seen.add(node);
      stack.push(...node.inputs);
    }
    return [...seen].sort((a, b) => a.id - b.id);
  }

  /** Makes values of the graph in the builder of a part. */
  private making(builder: GraphBuilder, part: number, targets: readonly Node[]): (node: Node) => Node {
    const made = new Map<Node, Node>();
    const make = (node: Node): Node => made.get(node) ?? this.found(builder, node, part);
    for (const node of this.reached(targets, part))
      made.set(node, builder.apply(node.op, node.inputs.map(make), node.attrs, node, node.copy));
    return make;
  }

  /** What lies in memory when a part begins. */
  private found(builder: GraphBuilder, node: Node, part: number): Node {
    const kept = this.kept.get(node);
    if (kept && kept.by < part) return stateOf(builder, kept.name, node.type, node);
    if (!isLoop(node)) return builder.apply(node.op, [], node.attrs, node);
    const loop = this.loops.get(loopKey(node))!;
    return stateOf(builder, resultName(loop, node.attrs.result as number), node.type, node);
  }

  /** Gives a loop what it begins with. */
  private before(loop: Loop, part: number): Graph {
    const builder = new GraphBuilder(opTable);
    const kept = [...this.kept].filter(([, { by }]) => by === part);
    const carried = loop.operands.slice(0, loop.carries);
    const make = this.making(builder, part, [...carried, ...kept.map(([node]) => node)]);
    const turn = builder.apply('constant', [], { ...TURN, value: loop.isReverse ? loop.count - 1 : 0 });
    const updates: Update[] = [
      ...carried.map((node, i) => ({
        state: stateOf(builder, resultName(loop, i), node.type, node),
        node: make(node),
      })),
      ...kept.map(([node, { name }]) => ({ state: stateOf(builder, name, node.type, node), node: make(node) })),
      ...(countsTurns(loop) ? [{ state: stateOf(builder, turnName(loop), TURN), node: turn }] : []),
    ];
    return this.part(`${loop.name}.before`, { updates, times: 1 });
  }

  /** The body, as what it does to state. */
  private turn(loop: Loop): Graph {
    const { body, operands, carries, slices, isReverse } = loop;
    const builder = new GraphBuilder(opTable);
    const f = new Functional(builder);
    const part = this.list.indexOf(loop) + 1;
    const make = (node: Node) => this.found(builder, node, part);
    const turn = stateOf(builder, turnName(loop), TURN);
    const given = operands.map((node, i) => {
      if (i < carries) return stateOf(builder, resultName(loop, i), node.type, body.inputs[i]);
      return i < carries + slices ? f.gather(make(node), turn) : make(node);
    });
    const made = new Map<Node, Node>(body.inputs.map((node, i) => [node, given[i] ?? turn]));
    for (const node of nodesOf(body)) {
      if (made.has(node)) continue;
      const inputs = node.inputs.map((input) => made.get(input)!);
      made.set(node, builder.apply(node.op, inputs, node.attrs, node, node.copy));
    }
    const results = body.outputs.map(({ node }, result) => {
      if (result < carries) return { state: given[result], node: made.get(node)! };
      const { dtype, shape } = node.type;
      const stack = stateOf(builder, resultName(loop, result), { dtype, shape: [loop.count, ...shape] }, node);
      return { state: stack, node: f.op('write_slice', [f.reshape(made.get(node)!, [1, ...shape]), turn, stack], { axis: 0 }) }; // prettier-ignore
    });
    const step = { state: turn, node: f.add(turn, isReverse ? -1 : 1) };
    const changed = results.filter(({ state, node }) => state !== node);
    const updates = countsTurns(loop) ? [...changed, step] : changed;
    return this.part(loop.name, { updates, times: loop.count });
  }

  /** What is left of the graph when all loops have run. */
  private rest(): Graph {
    const { graph } = this;
    const builder = new GraphBuilder(opTable);
    const inputs = graph.inputs.map((node) => builder.apply(node.op, [], node.attrs, node));
    const targets = [...graph.outputs, ...graph.updates].map(({ node }) => node);
    const make = this.making(builder, this.list.length, targets);
    const outputs = graph.outputs.map(({ name, node }) => ({ name, node: make(node) }));
    const updates = graph.updates.map(({ state, node }) => ({ state: make(state), node: make(node) }));
    return { ...graph, inputs, outputs, updates };
  }

  private part(
    name: string,
    { updates, times }: { readonly updates: readonly Update[]; readonly times: number },
  ): Graph {
    const graph = { name, inputs: [], outputs: [], updates, part: { of: this.graph.name, times } };
    return { ...graph, inputs: nodesOf(graph).filter(({ op }) => op === 'input') };
  }
}

const TURN = { dtype: 'i32', shape: [] } as const;

/** Whether turns are not all alike. */
function countsTurns({ body, carries, slices }: Loop): boolean {
  const turn = body.inputs.at(-1)!;
  const isRead = nodesOf(body).some(({ inputs }) => inputs.includes(turn));
  return slices > 0 || body.outputs.length > carries || isRead || body.outputs.some(({ node }) => node === turn);
}

const turnName = ({ names }: Loop): string => names.at(-1)!;

/** The state where a result of a loop is. */
const resultName = ({ name, names, carries }: Loop, result: number): string =>
  result < carries ? names[result] : `${name}.out${result - carries}.all`;

function stateOf(builder: GraphBuilder, name: string, { dtype, shape }: TensorType, like?: Node): Node {
  const state = builder.apply('state', [], { name, dtype, shape });
  state.loc ??= like?.loc;
  return state;
}
