/** Sums over the batch of a product as one product: the same values, whatever scales rows, is added to columns, or is one for all. */
import { describe, expect, it } from 'vitest';
import { GraphBuilder, nodesOf, type Graph, type Node, type Shape } from '../../../compiler/ir/index.ts';
import { Functional, interpret, opTable, Random } from '../../../compiler/ops/index.ts';
import { deepen } from '../../../compiler/rewrite/deepen.ts';
import { canonicalise } from '../../../compiler/rewrite/simplify.ts';
import { drawValues } from '../../helpers/samples.ts';

interface Case {
  readonly left: Shape;
  readonly right: Shape;
  readonly axis: number;
  /** What follows the product, in order: what scales its rows, and what is added to its columns. */
  readonly then: readonly (readonly ['mul' | 'div' | 'add', Shape])[];
}

const CASES: Record<string, Case> = {
  'nothing between': { left: [4, 5, 3], right: [4, 3, 6], axis: 0, then: [] },
  'experts of a bias each, weighted': {
    ...{ left: [4, 5, 3], right: [4, 3, 6], axis: 0 },
    then: [['add', [4, 1, 6]], ['mul', [4, 5, 1]]], // prettier-ignore
  },
  'experts within a batch': {
    ...{ left: [2, 4, 5, 3], right: [4, 3, 6], axis: 1 },
    then: [['add', [4, 1, 6]], ['mul', [2, 4, 5, 1]]], // prettier-ignore
  },
  'one left operand for all': { left: [5, 3], right: [4, 3, 6], axis: 0, then: [['div', [4, 5, 1]]] },
  'one right operand for all': { left: [4, 5, 3], right: [3, 6], axis: 0, then: [['mul', [4, 1, 1]]] },
  'one row of weights, two biases': {
    ...{ left: [4, 2, 5, 3], right: [4, 1, 3, 6], axis: 0 },
    then: [['add', [6]], ['mul', [1, 5, 1]], ['add', [2, 1, 1]]], // prettier-ignore
  },
};

const isProduct = (node: Node) => node.op === 'matmul';

describe.each(Object.entries(CASES))('%s', (_name, { left, right, axis, then }) => {
  it('is one product without a sum', () => {
    const f = new Functional(new GraphBuilder(opTable));
    const random = new Random(left.length + axis);
    const bindings: Record<string, Float64Array> = {};
    const input = (shape: Shape): Node => {
      const node = f.op('input', [], { name: `x${Object.keys(bindings).length}`, dtype: 'f32', shape });
      bindings[String(node.attrs.name)] = drawValues(random, node.type, [0.5, 2]);
      return node;
    };
    const product = f.matmul(input(left), input(right));
    const summed = then.reduce((x, [op, shape]) => f[op](x, input(shape)), product);
    const graph: Graph = {
      name: 'sum',
      inputs: [],
      outputs: [{ name: 'y', node: f.sum(summed, [axis]) }],
      updates: [],
    };
    const made = canonicalise(deepen(graph));
    expect(nodesOf(made).filter(({ op }) => op === 'reduce_sum')).toEqual([]);
    expect(nodesOf(made).filter(isProduct)).toHaveLength(1);
    const [want, got] = [graph, made].map((g) => interpret(g, bindings).outputs.y);
    expect(got.shape).toEqual(want.shape);
    want.data.forEach((value, i) => expect(got.data[i]).toBeCloseTo(value, 10));
  });
});

it('keeps a sum whose one product would leave most of a device idle', () => {
  const f = new Functional(new GraphBuilder(opTable));
  const [x, y] = ['x', 'y'].map((name) => f.op('input', [], { name, dtype: 'f32', shape: [64, 256, 256] }));
  const graph = { name: 'sum', inputs: [], outputs: [{ name: 'y', node: f.sum(f.matmul(x, y), [0]) }], updates: [] };
  expect(nodesOf(deepen(graph)).some(({ op }) => op === 'reduce_sum')).toBe(true);
});
