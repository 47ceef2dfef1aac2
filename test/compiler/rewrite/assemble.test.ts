/** Sums of padded pieces as the pieces side by side: the same values, whatever is cut, and in any order of the summands. */
import { describe, expect, it } from 'vitest';
import { gradients } from '../../../compiler/autodiff/index.ts';
import { GraphBuilder, nodesOf, sizeOf, type Graph, type Node } from '../../../compiler/ir/index.ts';
import { Functional, interpret, opTable, Random } from '../../../compiler/ops/index.ts';
import { assemble } from '../../../compiler/rewrite/assemble.ts';
import { canonicalise } from '../../../compiler/rewrite/simplify.ts';

/** The derivative of what is computed from all pieces of x along an axis, read in some order. */
function cutGraph(shape: readonly number[], axis: number, sizes: readonly number[], random: Random): Graph {
  const f = new Functional(new GraphBuilder(opTable));
  const x = f.op('input', [], { name: 'x', dtype: 'f32', shape: [...shape] });
  const starts = sizes.map((_, i) => sizes.slice(0, i).reduce((a, b) => a + b, 0));
  const pieces = sizes.map((size, i) => {
    const at = (n: number, other: readonly number[]) => shape.map((_, a) => (a === axis ? n : other[a]));
    const none = shape.map(() => 0);
    return f.unary(random.pick(['sin', 'tanh', 'exp']), f.slice(x, at(starts[i], none), at(size, shape)));
  });
  const sums = pieces.map((piece) => f.sum(f.square(piece), shape.map((_, a) => a))); // prettier-ignore
  const inAnyOrder = sums.sort(() => random.next() - 0.5);
  const [gradient] = gradients(f, inAnyOrder.reduce(f.add), [x]);
  return { name: 'cut', inputs: [x], outputs: [{ name: 'dx', node: gradient }], updates: [] };
}

const count = (graph: Graph, op: string) => nodesOf(graph).filter((node: Node) => node.op === op).length;

const CASES: [shape: number[], axis: number, sizes: number[]][] = [
  [[3, 8, 16], 0, [1, 1, 1]],
  [[7, 128], 0, [2, 4, 1]],
  [[1, 7, 128], 1, [4, 1, 2]],
  [[1, 1, 512], 2, [128, 256, 128]],
  [[2, 256], 1, [64, 64, 64, 64]],
  [[4, 2, 3, 32], 1, [1, 1]],
  [[4, 6, 3, 32], 1, [2, 2, 2]],
];

describe.each(CASES)('%j along %j in %j', (shape, axis, sizes) => {
  it('gives the same values without a sum', () => {
    const random = new Random(sizeOf(shape) + axis);
    for (let i = 0; i < 4; i++) {
      const graph = cutGraph(shape, axis, sizes, random);
      const made = canonicalise(assemble(graph));
      expect(count(graph, 'pad')).toBe(sizes.length);
      expect([count(made, 'pad'), count(made, 'concat')]).toEqual([0, 1]);
      const bindings = { x: Float64Array.from({ length: sizeOf(shape) }, () => random.uniform(-1, 1)) };
      const [want, got] = [graph, made].map((g) => interpret(g, bindings).outputs.dx);
      expect(got).toEqual(want);
    }
  });
});

it('lays pieces of pieces side by side at once, through reshapes', () => {
  const f = new Functional(new GraphBuilder(opTable));
  const x = f.op('input', [], { name: 'x', dtype: 'f32', shape: [2, 768] });
  const parts = [0, 256, 512].flatMap((start) => {
    const outer = f.reshape(f.slice(x, [0, start], [2, 256]), [2, 1, 256]);
    return [0, 64, 128, 192].map((inner) => f.unary('sin', f.slice(outer, [0, 0, inner], [2, 1, 64])));
  });
  const squares = parts.map((part, i) => f.mul(f.sum(f.square(part), [0, 1, 2]), i + 1));
  const [gradient] = gradients(f, squares.reduce(f.add), [x]);
  const graph = { name: 'nested', inputs: [x], outputs: [{ name: 'dx', node: gradient }], updates: [] };
  const made = canonicalise(assemble(graph));
  expect([count(made, 'pad'), count(made, 'concat')]).toEqual([0, 1]);
  expect(nodesOf(made).find(({ op }) => op === 'concat')!.type.shape).toEqual([12, 2, 64]);
  const random = new Random(1);
  const bindings = { x: Float64Array.from({ length: 2 * 768 }, () => random.uniform(-1, 1)) };
  const [want, got] = [graph, made].map((g) => interpret(g, bindings).outputs.dx);
  expect(got).toEqual(want);
});

it('adds up nothing twice, however often sums meet', () => {
  const f = new Functional(new GraphBuilder(opTable));
  const x = f.op('input', [], { name: 'x', dtype: 'f32', shape: [2, 128] });
  // Each sum has twice as many summands as the one before.
  const sum = Array.from({ length: 60 }).reduce<Node>((y) => f.add(y, y), f.pad(x, [0, 0], [2, 0]));
  const graph = { name: 'double', inputs: [x], outputs: [{ name: 'y', node: sum }], updates: [] };
  expect(count(assemble(graph), 'add')).toBe(60);
});
