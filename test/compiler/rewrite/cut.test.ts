/** Parts of products and sums, computed part by part: the same values, and no whole left where that pays. */
import { describe, expect, it } from 'vitest';
import { GraphBuilder, nodesOf, sizeOf, verify, type Graph, type Node } from '../../../compiler/ir/index.ts';
import { Functional, interpret, opTable, Random } from '../../../compiler/ops/index.ts';
import { cut } from '../../../compiler/rewrite/cut.ts';

/** A graph that moves states by what `body` makes of two inputs. */
function step(body: (f: Functional, dy: Node, x: Node) => { moves?: Node[]; shown?: Node[] }, dy: number[]): Graph {
  const f = new Functional(new GraphBuilder(opTable));
  const leaf = (op: string, name: string, shape: readonly number[]) => f.op(op, [], { name, dtype: 'f32', shape });
  const inputs = [leaf('input', 'dy', dy), leaf('input', 'x', [...dy.slice(0, -1), 5])];
  const { moves = [], shown = [] } = body(f, inputs[0], inputs[1]);
  const updates = moves.map((move, i) => {
    const state = leaf('state', `s${i}`, move.type.shape);
    return { state, node: f.sub(state, f.mul(move, 0.1)) };
  });
  return { name: 'step', inputs, outputs: shown.map((node, i) => ({ name: `y${i}`, node })), updates };
}

/** Stretches of an axis, of these sizes. */
function split(f: Functional, node: Node, axis: number, sizes: readonly number[], from = 0): Node[] {
  const { shape } = node.type;
  return sizes.map((size, i) => {
    const start = from + sizes.slice(0, i).reduce((a, b) => a + b, 0);
    return f.slice(
      node,
      shape.map((_, a) => (a === axis ? start : 0)),
      shape.with(axis, size),
    );
  });
}

const rows = (f: Functional, x: Node) => f.reshape(x, [sizeOf(x.type.shape.slice(0, -1)), x.type.shape.at(-1)!]);
const product = (f: Functional, dy: Node, x: Node) => f.matmul(f.transpose(rows(f, dy)), rows(f, x));

const CUT: Record<string, Graph> = {
  'a product of rows': step((f, dy, x) => ({ moves: split(f, product(f, dy, x), 0, [4, 8]) }), [3, 12]),
  'rows behind a reshape': step((f, dy, x) => ({ moves: split(f, product(f, dy, x), 0, [8, 4]) }), [2, 3, 12]),
  'of an operand in pieces': step(
    (f, dy, x) => {
      const flat = f.reshape(f.permute(dy, [1, 0, 2]), [3, 24]);
      return { moves: split(f, f.matmul(f.transpose(flat), f.slice(rows(f, x), [0, 0], [3, 5])), 0, [12, 6, 6]) };
    },
    [4, 3, 6],
  ),
  'a part alone': step((f, dy, x) => ({ moves: split(f, product(f, dy, x), 0, [4], 3) }), [3, 12]),
  'a sum': step((f, dy) => ({ moves: split(f, f.reshape(f.sum(dy, [0]), [12]), 0, [4, 8]) }), [3, 12]),
  'a batch of products': step((f, dy, x) => ({ moves: split(f, f.matmul(f.transpose(dy), x), 1, [4, 8]) }), [2, 3, 12]),
};

const WHOLE: Record<string, Graph> = {
  'that is shown too': step(
    (f, dy, x) => ({ moves: split(f, product(f, dy, x), 0, [4, 8]), shown: [product(f, dy, x)] }),
    [3, 12],
  ),
  'of which a part is shown': step(
    (f, dy, x) => {
      const [a, b] = split(f, product(f, dy, x), 0, [4, 8]);
      return { moves: [a], shown: [b] };
    },
    [3, 12],
  ),
  'whose parts overlap': step(
    (f, dy, x) => {
      const whole = product(f, dy, x);
      return { moves: [...split(f, whole, 0, [8, 4]), ...split(f, whole, 0, [4], 2)] };
    },
    [3, 12],
  ),
  'cut into columns': step((f, dy, x) => ({ moves: split(f, product(f, dy, x), 1, [2, 3]) }), [3, 12]),
};

/** Products and sums of a graph. */
const computed = (graph: Graph) => nodesOf(graph).filter(({ op }) => ['matmul', 'reduce_sum'].includes(op));

function expectSame(graph: Graph, made: Graph): void {
  const random = new Random(1);
  const leaves = nodesOf(graph).filter(({ op }) => op === 'input' || op === 'state');
  const bindings = Object.fromEntries(
    leaves.map(({ attrs, type }) => {
      return [String(attrs.name), Array.from({ length: sizeOf(type.shape) }, () => random.uniform(-1, 1))];
    }),
  );
  const [want, got] = [graph, verify(made, opTable)].map((g) => interpret(g, bindings));
  for (const kind of ['outputs', 'updates'] as const) {
    expect(Object.keys(got[kind])).toEqual(Object.keys(want[kind]));
    for (const [name, { data }] of Object.entries(want[kind]))
      data.forEach((value, i) => expect(got[kind][name].data[i]).toBeCloseTo(value, 12));
  }
}

describe('is cut', () => {
  it.each(Object.entries(CUT))('%s', (_name, graph) => {
    const made = cut(graph);
    const sizes = (nodes: readonly Node[]) => nodes.map(({ type }) => sizeOf(type.shape)).sort((a, b) => a - b);
    expect(computed(graph)).toHaveLength(1);
    expect(sizes(computed(made))).toEqual(sizes(graph.updates.map(({ state }) => state)));
    expectSame(graph, made);
  });
});

describe('stays: a product', () => {
  it.each(Object.entries(WHOLE))('%s', (_name, graph) => {
    const made = cut(graph);
    expect(computed(made)).toHaveLength(1);
    expectSame(graph, made);
  });
});
