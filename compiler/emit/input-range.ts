/**
 * Which values of an input are rows of the tables that it chooses from. A row that is not there would be read as the nearest
 * one, silently; with the range known, the runtime refuses it. What the model's own algebra makes of an index counts:
 * an index that it clamps may be anything, one that it shifts is in the shifted range.
 */
import { isInteger, nodesOf, sizeOf, type Graph, type Node } from '../ir/index.ts';
import type { InputSpec } from './artefact.ts';
import { opDef } from '../ops/index.ts';

/** Least, and one past the most. */
type Range = readonly [least: number, end: number];

const ANY: Range = [-Infinity, Infinity];
/** Beyond these an i32 or u32 cannot be, so that they bound nothing. */
const LEAST = { i32: -(2 ** 31), u32: 0 };
const END = { i32: 2 ** 31, u32: 2 ** 32 };

const both = (a: Range, b: Range): Range => [Math.max(a[0], b[0]), Math.min(a[1], b[1])];
const either = (a: Range, b: Range): Range => [Math.min(a[0], b[0]), Math.max(a[1], b[1])];

/** What the readers of a value ask of its elements: `all` of every one, `some` of those that are cut out of it. */
interface Asked {
  all: Range;
  some?: Range;
}

/** The inputs of an entry as traced; `classes` says of which there are how many, as the model declares it. */
export function inputSpecs(graph: Graph, classes: ReadonlyMap<string, number> = new Map()): InputSpec[] {
  const ranges = inputRanges(graph);
  return graph.inputs.map(({ attrs, type: { shape, dtype } }) => {
    const name = String(attrs.name);
    const count = classes.get(name);
    const range = both(ranges.get(name) ?? ANY, count === undefined ? ANY : [0, count]);
    return { name, shape, dtype, ...(range.every(Number.isFinite) && { range }), ...(count && { classes: count }) };
  });
}

/** The ranges of a graph's integer inputs, by name; an input that may be anything has none. */
export function inputRanges(graph: Graph): Map<string, Range> {
  const asked = new Map<Node, Asked>();
  for (const node of [...nodesOf(graph)].reverse()) {
    const range = asked.get(node) ?? { all: ANY };
    for (const [input, range_] of asksOf(node, range)) {
      const { all, some } = asked.get(input) ?? { all: ANY };
      const cut = some && range_.some ? either(some, range_.some) : (some ?? range_.some);
      asked.set(input, { all: both(all, range_.all), some: cut });
    }
  }
  const ranges = new Map<string, Range>();
  for (const input of graph.inputs) {
    const { dtype } = input.type;
    const { all, some = ANY } = asked.get(input) ?? { all: ANY };
    if (dtype !== 'i32' && dtype !== 'u32') continue;
    const [least, end] = both(both(all, some), [LEAST[dtype], END[dtype]]);
    if (least < end && (least > LEAST[dtype] || end < END[dtype])) ranges.set(String(input.attrs.name), [least, end]);
  }
  return ranges;
}

/** What a node asks of its operands, given what is asked of it. */
function asksOf(node: Node, asked: Asked): [Node, Asked][] {
  const { op, inputs } = node;
  const [x, y] = inputs;
  const { view, wgsl, preimage } = opDef(op);
  if (view?.rows) {
    const [index, table] = [inputs[view.rows.index], inputs[view.rows.table]];
    const rows: [Node, Asked] = [index, { all: [0, table.type.shape[view.rows.axis?.(node.attrs) ?? 0]] }];
    return isInteger(node.type.dtype) ? [rows, [table, cutOut(asked)]] : [rows];
  }
  if (!isInteger(node.type.dtype)) return [];
  const isCut = view && inputs.length === 1 && sizeOf(node.type.shape) < sizeOf(x.type.shape);
  if (isCut) return [[x, cutOut(asked)]];
  if (view || wgsl?.keepsValues) return inputs.map((input) => [input, asked]);
  if (wgsl?.isConversion) return isInteger(x.type.dtype) ? [[x, through(asked, ([a, b]) => [Math.max(a, 0), b])]] : [];
  if (op === 'select') return inputs.slice(1).flatMap((v): [Node, Asked][] => (reads(x, v) ? [] : [[v, asked]]));
  const bound = y && literal(y);
  if (bound === undefined) return [];
  return [[x, through(asked, (range) => preimage?.(bound, range) ?? ANY)]];
}

/** Elements that are cut out of a value: others may be anything. */
const cutOut = ({ all, some }: Asked): Asked => ({
  all: ANY,
  some: some ? either(all, some) : all === ANY ? undefined : all,
});

const through = ({ all, some }: Asked, change: (range: Range) => Range): Asked => ({
  all: change(all),
  some: some && change(some),
});

/** Whether all elements of a view are its operand's. */
const isFilledFrom = (op: string): boolean => {
  const { view } = opDef(op);
  return !!view && !view.filler;
};

/** The one number that all elements of a value are. */
function literal({ op, attrs, inputs }: Node): number | undefined {
  if (op === 'constant') return typeof attrs.value === 'number' ? attrs.value : undefined;
  return inputs.length === 1 && isFilledFrom(op) ? literal(inputs[0]) : undefined;
}

/** Whether a condition is computed from what it chooses: then the model has seen to it that the choice is sound. */
function reads(condition: Node, value: Node): boolean {
  const sources = inputsBelow(value);
  return [...inputsBelow(condition)].some((input) => sources.has(input));
}

function inputsBelow(root: Node): Set<Node> {
  const seen = new Set([root]);
  for (const node of seen) for (const input of node.inputs) seen.add(input);
  return new Set([...seen].filter(({ op }) => op === 'input'));
}
