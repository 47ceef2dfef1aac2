/**
 * What depends on nothing and takes more than a few operations is computed by the compiler: sinusoids of the steps of a sampler,
 * of the positions in a sequence. So is a single number that a state is set to.
 *
 * Before: features = concat(cos(steps ⊗ frequencies), sin(…))      After: features = constant {data = …}
 */
import {
  isInteger,
  nodesOf,
  rebuild,
  results,
  sameShape,
  sizeOf,
  usersOf,
  type Graph,
  type Node,
  type Shape,
} from '../ir/index.ts';
import { Functional, interpret, isKnown, opDef, opTable } from '../ops/index.ts';

/** Operations per element from which a table is worth its memory: a mask or a ramp is computed faster than it is read. */
const WORTH_A_TABLE = 16;
/** Elements of a table, and of any value on the way to it. */
const LARGEST = 1 << 18;
/** Tables are bindings of the kernels that read them: the few that spare most. */
const MOST_TABLES = 8;
/** Operations that the compiler does for one: a fraction of a second. */
const MOST_WORK = 1 << 24;

export function tables(graph: Graph): Graph {
  const users = usersOf(nodesOf(graph));
  const shown = new Set(graph.outputs.map(({ node }) => node));
  // A number that something else reads too stays a literal there.
  const isSet = (node: Node) => isNumber(node) && isStorable(node) && !users.get(node)!.length && !shown.has(node);
  const set = graph.updates.map(({ node }) => node).filter(isSet);
  const found = [...new Set([...tablesOf(graph), ...set])];
  if (!found.length) return graph;
  const values = valuesOf(found);
  return rebuild(graph, opTable, (node, _inputs, builder) => {
    const value = values.get(node);
    return value && table(new Functional(builder), node, value);
  });
}

const isNumber = ({ op, type, attrs }: Node): boolean =>
  op === 'constant' && sizeOf(type.shape) === 1 && typeof attrs.value === 'number';

/** The last values that depend on nothing, before those that do. */
function tablesOf(graph: Graph): Set<Node> {
  const nodes = nodesOf(graph);
  const work = workOf(nodes);
  const users = usersOf(nodes);
  const returned = new Set(results(graph));
  const found = new Set<Node>();
  for (const node of nodes) {
    const isLast = returned.has(node) || users.get(node)!.some((user) => !work.has(user));
    const from = isLast && work.has(node) ? behindViews(node) : node;
    if (isLast && (work.get(from) ?? 0) >= WORTH_A_TABLE && isStorable(from)) found.add(from);
  }
  const spared = (node: Node) => work.get(node)! * sizeOf(node.type.shape);
  const most = [...found].sort((a, b) => spared(b) - spared(a)).slice(0, MOST_TABLES);
  return new Set(most.filter((node) => spared(node) <= MOST_WORK));
}

/** f16 is a matter of memory, and no constant is stored in it. */
const isStorable = ({ type: { dtype } }: Node): boolean => dtype === 'f32' || isInteger(dtype);

/** Operations per element of every value that depends on nothing. */
function workOf(nodes: readonly Node[]): Map<Node, number> {
  const work = new Map<Node, number>();
  for (const node of nodes) {
    const { cost } = opDef(node.op);
    if (!isKnown(node, (input) => work.has(input)) || sizeOf(node.type.shape) > LARGEST) continue;
    const types = node.inputs.map((input) => input.type);
    const { flops, macs } = cost(types, node.attrs, node.type);
    const own = (flops + macs) / sizeOf(node.type.shape);
    work.set(node, own + node.inputs.reduce((most, input) => Math.max(most, work.get(input)!), 0));
  }
  return work;
}

/** What a chain of views shows, so that all that look at it share one table. */
function behindViews(node: Node): Node {
  const { view } = opDef(node.op);
  return view && node.inputs.length === 1 && !view.filler ? behindViews(node.inputs[0]) : node;
}

/** All at once: they share what lies behind them. */
function valuesOf(found: readonly Node[]): Map<Node, Float64Array> {
  const outputs = found.map((node, i) => ({ name: `${i}`, node }));
  const values = interpret({ name: 'tables', inputs: [], outputs, updates: [] }, {}, { f32: true }).outputs;
  return new Map(outputs.map(({ name, node }) => [node, values[name].data]));
}

function table(f: Functional, { name, type: { dtype, shape } }: Node, values: Float64Array): Node {
  const { data, shape: kept } = distinct(values, shape);
  const made = f.op('constant', [], { dtype, shape: kept, data });
  made.name ??= name;
  return sameShape(kept, shape) ? made : f.broadcast(made, shape);
}

/** The table without the axes along which it is the same everywhere. */
function distinct(data: Float64Array, shape: Shape): { data: Float64Array; shape: Shape } {
  return shape.reduce(
    (table, size, axis) => {
      const inner = sizeOf(table.shape.slice(axis + 1));
      const first = (i: number) => i - (Math.floor(i / inner) % size) * inner;
      if (size === 1 || !table.data.every((x, i) => Object.is(x, table.data[first(i)]))) return table;
      return { data: table.data.filter((_, i) => first(i) === i), shape: table.shape.with(axis, 1) };
    },
    { data, shape },
  );
}
