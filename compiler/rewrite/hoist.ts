/**
 * Hoisting: what a loop computes again and again from values that the loop does not change. An entry with a counter (a state
 * that runs through 0 … count−1, one value per run) is the body of a loop; matrix products, reductions and the like that
 * depend on nothing else that it updates are computed before the loop, for all values of the counter at once, into tables;
 * the body reads the row of its turn. In a diffusion sampler that is everything which depends on (t, y) only. Weights that are
 * normalised before they are used are normalised once.
 *
 * Before: x' = body(x, g(counter, inputs), inputs)           After: prelude: table = g(0 … count−1, inputs)
 *                                                                   body:    x' = body(x, table[counter], inputs)
 */
import { byteSize, GraphBuilder, nodesOf, rebuild, results, usersOf, type Graph, type Node } from '../ir/index.ts';
import { Functional, isGradient, isKnown, opDef, opTable } from '../ops/index.ts';
import { limit, type DeviceSpec } from '../device.ts';
import type { ModelContext } from './pass.ts';
import { vectorise } from './vectorise.ts';

export interface Hoisted {
  /** The loop's body; it reads the tables as state. */
  readonly body: Graph;
  /** Fills the tables; nothing when there is nothing to hoist. */
  readonly prelude?: Graph;
}

/** What tables may take. */
export interface TableLimits {
  /** Bytes of one table: what the device binds. */
  readonly each: number;
  /** Bytes of all that are made of what the entry is given. */
  readonly total: number;
  /** Bytes of all that are made of weights alone, and read in the place of these. */
  readonly weights: number;
}

/** The pass: what there is to compute before a loop comes before its body. */
export const hoistAll = (graphs: readonly Graph[], { device }: ModelContext): readonly Graph[] =>
  graphs.flatMap((graph) => {
    const { prelude, body } = hoist(graph, limitsOf(graph, device));
    return prelude ? [prelude, body] : [body];
  });

/** A table is worth its memory while all of them are small beside the weights that it spares the loop, or no more than those that it replaces. */
function limitsOf(graph: Graph, device: DeviceSpec): TableLimits {
  const weights = nodesOf(graph).filter(({ op }) => op === 'param');
  const bytes = weights.reduce((sum, { type }) => sum + byteSize(type), 0);
  return { each: limit(device, 'maxStorageBufferBindingSize'), total: bytes / 2, weights: bytes };
}

export function hoist(graph: Graph, limits: TableLimits): Hoisted {
  const counter = counterOf(graph);
  // A table in the place of a value would cut the path that a derivative asked for takes through it.
  const isDifferentiated = nodesOf(graph).some(isGradient);
  if (!counter || isDifferentiated) return { body: graph };
  const plan = new HoistPlan(graph, counter, limits);
  if (!plan.tables.size) return { body: graph };
  const names = tableNames(graph, [...plan.tables]);
  return { body: bodyOf(graph, counter, plan, names), prelude: preludeOf(graph, counter, plan, names) };
}

const countOf = (counter: Node): number => counter.attrs.count as number;

/** The counter that the graph updates: a scalar state declared with its `count` of values. */
const counterOf = ({ updates }: Graph): Node | undefined => updates.map(({ state }) => state).find(isCounter);

/** What is written as text may say anything. */
function isCounter({ attrs: { count }, type: { dtype, shape } }: Node): boolean {
  return Number.isSafeInteger(count) && Number(count) >= 1 && dtype === 'i32' && !shape.length;
}

/** What is computed before the loop, and which values cross into it. */
class HoistPlan {
  /** Values that the body reads from tables. */
  readonly tables: ReadonlySet<Node>;
  private readonly nodes: readonly Node[];
  /** Values that differ from one value of the counter to another. */
  private readonly counting = new Set<Node>();
  /** Values of parameters alone that take more than a few operations, normalised weights as an example. */
  private readonly fromWeights = new Set<Node>();
  private readonly limits: TableLimits;
  private readonly count: number;

  constructor(graph: Graph, counter: Node, limits: TableLimits) {
    this.nodes = nodesOf(graph);
    this.limits = limits;
    this.count = countOf(counter);
    const ofWeights = new Set<Node>();
    for (const node of this.nodes) {
      if (node.op === 'param' || isKnown(node, (input) => ofWeights.has(input))) ofWeights.add(node);
      if (node === counter || node.inputs.some((input) => this.counting.has(input))) this.counting.add(node);
      if (ofWeights.has(node) && node.inputs.some((input) => isHeavy(input) || this.fromWeights.has(input)))
        this.fromWeights.add(node);
    }
    const bound = new Set(graph.updates.map(({ state }) => state).filter((state) => state !== counter));
    this.tables = this.choose(graph, bound);
  }

  isCounting(node: Node): boolean {
    return this.counting.has(node);
  }

  /** Takes the largest values back into the loop until the tables fit. */
  private choose(graph: Graph, bound: Set<Node>): Set<Node> {
    for (;;) {
      const tables = this.frontier(graph, this.changing(bound));
      const sizes = [...tables].map((node) => ({ node, bytes: this.bytes(node) }));
      const [weights, others] = [true, false].map((is) =>
        sizes.filter(({ node }) => this.fromWeights.has(node) === is),
      );
      const most = this.tooLarge(weights, this.limits.weights) ?? this.tooLarge(others, this.limits.total);
      if (!most) return tables;
      // What is made of weights is then made of what lies behind it, in each turn.
      for (const { node, bytes } of most.of)
        if (bytes === most.bytes && !this.fromWeights.delete(node)) bound.add(node);
    }
  }

  /** Tables that are too large, or too large together, and the bytes of the largest; undefined where none is. */
  private tooLarge(tables: readonly { readonly node: Node; readonly bytes: number }[], total: number) {
    const all = tables.reduce((sum, { bytes }) => sum + bytes, 0);
    const bytes = Math.max(0, ...tables.map((table) => table.bytes));
    return all > total || bytes > this.limits.each ? { of: tables, bytes } : undefined;
  }

  private bytes(node: Node): number {
    return byteSize(node.type) * (this.counting.has(node) ? this.count : 1);
  }

  /** What the loop must compute: what it carries, what depends on that, and what has no rule to be computed at once. */
  private changing(bound: ReadonlySet<Node>): Set<Node> {
    const changing = new Set<Node>();
    for (const node of this.nodes) {
      if (bound.has(node) || node.inputs.some((input) => changing.has(input))) changing.add(node);
      else if (this.counting.has(node) && node.inputs.length && !this.vectorises(node)) changing.add(node);
    }
    return changing;
  }

  private vectorises(node: Node): boolean {
    const builder = new GraphBuilder(opTable);
    const operands = node.inputs.map((input, i) => {
      const many = this.counting.has(input);
      const shape = [...(many ? [this.count] : []), ...input.type.shape];
      return { node: builder.apply('input', [], { name: `x${i}`, dtype: input.type.dtype, shape }), many };
    });
    return vectorise(new Functional(builder), node, operands, this.count) !== undefined;
  }

  /**
   * The last heavy values before the loop's own: what lies between is cheap, and computed where it is used; but for what is made of weights
   * alone, which the loop then reads in their place.
   */
  private frontier(graph: Graph, changing: ReadonlySet<Node>): Set<Node> {
    const users = usersOf(this.nodes);
    const returned = new Set(results(graph));
    const found = new Set<Node>();
    const seen = new Set<Node>();
    const visit = (node: Node): void => {
      if (seen.has(node)) return;
      seen.add(node);
      if (isHeavy(node) || (this.fromWeights.has(node) && opDef(node.op).kind === 'pointwise')) found.add(node);
      else node.inputs.forEach(visit);
    };
    for (const node of this.nodes) {
      if (changing.has(node)) continue;
      if (returned.has(node) || users.get(node)!.some((user) => changing.has(user))) visit(node);
    }
    return found;
  }
}

/** Worth a table: more than a few operations per element. */
const isHeavy = ({ op }: Node): boolean => ['contract', 'reduce', 'composite'].includes(opDef(op).kind);

/** `sampleStep.scale`: the entry, and the user's name for the value; numbered where a state or table has it already. */
function tableNames(graph: Graph, tables: readonly Node[]): Map<Node, string> {
  const used = new Set(nodesOf(graph).flatMap(({ op, attrs }) => (op === 'state' ? String(attrs.name) : [])));
  const fresh = (base: string): string => {
    let name = base;
    for (let i = 1; used.has(name); i++) name = `${base}.${i}`;
    used.add(name);
    return name;
  };
  // Where the prelude is run by itself, a table becomes a file: its name has the letters that names may have.
  const readable = (name: string) => name.replace(/[^\p{L}\d_.]/gu, '_').slice(0, MOST_OF_NAME);
  return new Map(tables.map((node) => [node, fresh(`${graph.name}.${readable(node.name ?? node.op)}`)]));
}

/** Of a variable's name, this many characters tell it well enough. */
const MOST_OF_NAME = 60;

function tableState(builder: GraphBuilder, name: string, { type, loc }: Node, count?: number): Node {
  const shape = count === undefined ? type.shape : [count, ...type.shape];
  const state = builder.apply('state', [], { name, dtype: type.dtype, shape });
  state.loc ??= loc;
  return state;
}

function bodyOf(graph: Graph, counter: Node, plan: HoistPlan, names: ReadonlyMap<Node, string>): Graph {
  const mapped = new Map<Node, Node>();
  return rebuild(graph, opTable, (node, _inputs, builder) => {
    if (node === counter) mapped.set(node, builder.apply(node.op, [], node.attrs, node));
    if (!plan.tables.has(node)) return undefined;
    if (!plan.isCounting(node)) return tableState(builder, names.get(node)!, node);
    const table = tableState(builder, names.get(node)!, node, countOf(counter));
    return builder.apply('gather', [table, mapped.get(counter)!], {}, node);
  });
}

function preludeOf(graph: Graph, counter: Node, plan: HoistPlan, names: ReadonlyMap<Node, string>): Graph {
  const builder = new GraphBuilder(opTable);
  const f = new Functional(builder);
  const count = countOf(counter);
  const made = new Map<Node, Node>();
  for (const node of neededBy(plan.tables)) {
    const operands = node.inputs.map((input) => ({ node: made.get(input)!, many: plan.isCounting(input) }));
    made.set(node, make(node, operands));
  }
  function make(node: Node, operands: readonly { node: Node; many: boolean }[]): Node {
    if (node === counter) return f.iota(node.type.dtype, [count], 0);
    if (plan.isCounting(node)) return vectorise(f, node, operands, count)!;
    return builder.apply(
      node.op,
      operands.map((operand) => operand.node),
      node.attrs,
      node,
    );
  }
  return {
    name: `${graph.name}.prelude`,
    inputs: graph.inputs.flatMap((input) => made.get(input) ?? []),
    outputs: [],
    updates: [...plan.tables].map((node) => {
      const state = tableState(builder, names.get(node)!, node, plan.isCounting(node) ? count : undefined);
      return { state, node: made.get(node)! };
    }),
  };
}

function neededBy(values: ReadonlySet<Node>): Node[] {
  const seen = new Set<Node>();
  const visit = (node: Node): void => {
    if (seen.has(node)) return;
    seen.add(node);
    node.inputs.forEach(visit);
  };
  values.forEach(visit);
  return [...seen].sort((a, b) => a.id - b.id);
}
