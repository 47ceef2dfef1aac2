/**
 * The graph IR: hash-consed SSA. A node is one op applied to earlier nodes; its type is computed by the op's rule when it
 * is made, so an ill-typed node cannot exist. Two equal applications are the same node: common subexpressions never arise.
 */
import { DitcError } from './error.ts';
import { isGraph, type Attrs, type AttrValue, type Graph, type Node, type TensorType } from './types.ts';

/** What the IR needs to know of ops; compiler/ops provides it. */
export interface OpTable {
  infer(op: string, inputs: readonly TensorType[], attrs: Attrs): TensorType;
}

/** The builder that made each node. Ids mean nothing outside it, so a node of another builder would alias silently. */
const owners = new WeakMap<Node, GraphBuilder>();

/** The builder a node belongs to; undefined for an object no builder made. */
export const ownerOf = (node: Node): GraphBuilder | undefined => owners.get(node);

export class GraphBuilder {
  private readonly interned = new Map<string, Node>();
  private nextId = 0;
  private readonly ops: OpTable;
  /** Called for the place in the user's source while a model file is traced. */
  location: () => string | undefined = () => undefined;

  constructor(ops: OpTable) {
    this.ops = ops;
  }

  /** Nodes made so far; later nodes have ids from here on. */
  get size(): number {
    return this.nextId;
  }

  /** Applies an op. `like` lends its name and location when a pass replaces a node; `copy` tells a copy from what it repeats. */
  apply(op: string, inputs: readonly Node[], attrs: Attrs = {}, like?: Node, copy?: number): Node {
    if (inputs.some((n) => owners.get(n) !== this)) {
      const what = `${op}: an operand belongs to another graph`;
      throw new DitcError({ code: 'ir', what, fix: 'rebuild it in this one' }).at(like?.loc ?? this.location());
    }
    const key = `${op}${copyMark(copy)}(${inputs.map((n) => n.id).join(',')})${attrsKey(attrs)}`;
    const known = this.interned.get(key);
    if (known) return known;
    const loc = like?.loc ?? this.location();
    const type = like && isAlike(like, op, inputs, attrs) ? like.type : this.infer(op, inputs, attrs, loc);
    const node: Node = { id: this.nextId++, op, inputs, attrs, type, copy, name: like?.name, loc };
    this.interned.set(key, node);
    owners.set(node, this);
    return node;
  }

  private infer(op: string, inputs: readonly Node[], attrs: Attrs, loc?: string): TensorType {
    const types = inputs.map((n) => n.type);
    try {
      return this.ops.infer(op, types, attrs);
    } catch (error) {
      throw error instanceof DitcError ? inUsersWords(error, inputs).at(loc) : error;
    }
  }
}

/** Whether a node is the same op of values of the same types: its type is known then. */
const isAlike = (node: Node, op: string, inputs: readonly Node[], attrs: Attrs): boolean =>
  node.op === op &&
  node.attrs === attrs &&
  node.inputs.length === inputs.length &&
  node.inputs.every(({ type }, i) => type === inputs[i].type);

/** Type rules call their operands x and y; the user has names for them. */
function inUsersWords(error: DitcError, inputs: readonly Node[]): DitcError {
  const { code, what, where, why, fix } = error;
  const nameOf = (i: number) => inputs[i]?.name ?? inputs[i]?.attrs.name;
  const named = why?.replace(/\b([xy]) is (?=\[)/g, (text, operand: string) => {
    const name = nameOf(operand === 'x' ? 0 : 1);
    return typeof name === 'string' ? `${name} is ` : text;
  });
  return named === why ? error : new DitcError({ code, what, where, why: named, fix }, { cause: error });
}

/** How the text form tells a copy from what it repeats: `matmul#1`. */
export const copyMark = (copy?: number): string => (copy === undefined ? '' : `#${copy}`);

const attrsKeys = new WeakMap<Attrs, string>();

/** Passes rebuild a graph with the attributes that its nodes have: their text is made once. */
export function attrsKey(attrs: Attrs): string {
  const known = attrsKeys.get(attrs);
  if (known !== undefined) return known;
  const keys = Object.keys(attrs).sort();
  const text = keys.length ? `{${keys.map((k) => `${k}=${attrKey(attrs[k])}`).join(';')}}` : '';
  attrsKeys.set(attrs, text);
  return text;
}

function attrKey(value: AttrValue): string {
  if (typeof value === 'string') return JSON.stringify(value);
  if (value instanceof Float64Array) return `data#${dataKey(value)}`;
  if (isGraph(value)) return `graph#${graphKey(value)}`;
  if (typeof value === 'object') return `[${value.map(numberKey).join(',')}]`;
  return typeof value === 'number' ? numberKey(value) : String(value);
}

const dataKeys = new WeakMap<Float64Array, number>();
const dataContents = new Map<string, number>();

/** A number for each different content. An array is read once: a position table is 300 000 numbers, and passes rebuild. */
function dataKey(data: Float64Array): number {
  const known = dataKeys.get(data);
  if (known !== undefined) return known;
  const content = Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('latin1');
  const key = dataContents.get(content) ?? dataContents.size;
  dataContents.set(content, key);
  dataKeys.set(data, key);
  return key;
}

const graphKeys = new WeakMap<Graph, number>();
const graphTexts = new Map<string, number>();

/** A number for each different graph, whatever its values are called. */
export function graphKey(graph: Graph): number {
  const known = graphKeys.get(graph);
  if (known !== undefined) return known;
  const nodes = nodesOf(graph);
  const places = new Map(nodes.map((node, i) => [node, i]));
  const at = (list: readonly Node[]) => list.map((node) => places.get(node)).join(',');
  const lines = nodes.map(({ op, copy, inputs, attrs }) => `${op}${copyMark(copy)}(${at(inputs)})${attrsKey(attrs)}`);
  const { name, inputs, outputs, updates } = graph;
  const named = outputs.map((output) => `${output.name}=${places.get(output.node)}`);
  const changed = updates.map(({ state, node }) => at([state, node]));
  const text = [name, at(inputs), ...lines, ...named, ...changed].join('\n');
  const key = graphTexts.get(text) ?? graphTexts.size;
  graphTexts.set(text, key);
  graphKeys.set(graph, key);
  return key;
}

/** Negative zero differs from zero: 1/x tells them apart. */
export const numberKey = (x: number): string => (Object.is(x, -0) ? '-0' : String(x));

export const results = (graph: Graph): Node[] => [
  ...graph.outputs.map((o) => o.node),
  ...graph.updates.map((u) => u.node),
];

const nodesOfGraphs = new WeakMap<Graph, readonly Node[]>();

/** Every node the results need, inputs and updated state included, in topological order. A graph does not change: they are found once. */
export function nodesOf(graph: Graph): readonly Node[] {
  const known = nodesOfGraphs.get(graph);
  if (known) return known;
  const nodes = findNodes(graph);
  nodesOfGraphs.set(graph, nodes);
  return nodes;
}

function findNodes(graph: Graph): readonly Node[] {
  const seen = new Set<Node>();
  const stack = [...graph.inputs, ...graph.updates.map((u) => u.state), ...results(graph)];
  while (stack.length) {
    const node = stack.pop()!;
    if (seen.has(node)) continue;
    seen.add(node);
    stack.push(...node.inputs);
  }
  return [...seen].sort((a, b) => a.id - b.id);
}

/** Who reads each node, each reader once, in topological order. */
export function usersOf(nodes: readonly Node[]): Map<Node, Node[]> {
  const users = new Map<Node, Node[]>(nodes.map((n) => [n, []]));
  for (const node of nodes) for (const input of new Set(node.inputs)) users.get(input)!.push(node);
  return users;
}

/** Rebuilds a graph node by node in a fresh builder; `rule` returns the replacement, or undefined to keep the node. */
export function rebuild(
  graph: Graph,
  ops: OpTable,
  rule: (node: Node, inputs: readonly Node[], builder: GraphBuilder) => Node | undefined,
): Graph {
  const builder = new GraphBuilder(ops);
  const mapped = new Map<Node, Node>();
  for (const node of nodesOf(graph)) {
    const inputs = node.inputs.map((n) => mapped.get(n)!);
    const made = rule(node, inputs, builder) ?? builder.apply(node.op, inputs, node.attrs, node, node.copy);
    made.name ??= node.name;
    made.loc ??= node.loc;
    made.origin ??= node.origin;
    mapped.set(node, made);
  }
  return mapGraph(graph, (n) => mapped.get(n)!);
}

export function mapGraph(graph: Graph, map: (node: Node) => Node): Graph {
  return {
    ...graph,
    inputs: graph.inputs.map(map),
    outputs: graph.outputs.map((o) => ({ name: o.name, node: map(o.node) })),
    updates: graph.updates.map((u) => ({ state: map(u.state), node: map(u.node) })),
  };
}
