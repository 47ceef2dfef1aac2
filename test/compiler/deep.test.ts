/** Graphs of thousands of ops, one behind the other or side by side: compiled whole, by kernels that are none too long. */
import { describe, expect, it } from 'vitest';
import { GraphBuilder, nodesOf, ownerOf, type Graph, type Node } from '../../compiler/ir/index.ts';
import { Functional, interpret, opTable, Random } from '../../compiler/ops/index.ts';
import { compileGraphs } from '../../compiler/compile.ts';
import { schedule } from '../../compiler/pipeline.ts';
import { PORTABLE } from '../../compiler/device.ts';
import { MOST_OPS } from '../../compiler/fusion/most-ops.ts';
import { relativeError } from '../helpers/relative-error.ts';
import { runSchedule } from '../helpers/run-schedule.ts';
import { drawValues } from '../helpers/samples.ts';

const SHAPE = [4, 8];

type Step = (f: Functional, x: Node, weight: (i: number, shape: readonly number[]) => Node, i: number) => Node;

/** Each reads what the one before gives. */
const STEPS: Record<string, Step> = {
  'pointwise ops': (f, x, weight) => f.add(x, f.mul(f.unary('sin', f.mul(x, weight(0, [8]))), 0.001)),
  products: (f, x, weight, i) => f.tanh(f.matmul(x, weight(i % 7, [8, 8]))),
  'norms of rows': (f, x) => f.add(f.mul(x, 0.5), f.op('layer_norm', [x], { eps: 0.01 })),
  views: (f, x) => f.pad(f.slice(x, [0, 1], [4, 7]), [0, 0], [0, 1], 0.5),
  'values put together': (f, x) =>
    f.concat([f.slice(x, [1, 0], [3, 8]), f.unary('sin', f.slice(x, [0, 0], [1, 8]))], 0),
  'other layouts': (f, x) => f.unary('sin', f.reshape(f.permute(x, [1, 0]), SHAPE)),
};

function chain(step: Step, length: number): { graph: Graph; bindings: Record<string, Float64Array> } {
  const f = new Functional(new GraphBuilder(opTable));
  const leaf = (op: string, name: string, shape: readonly number[]) => f.op(op, [], { name, dtype: 'f32', shape });
  const x = leaf('input', 'x', SHAPE);
  let y = x;
  for (let i = 0; i < length; i++) y = step(f, y, (n, shape) => leaf('param', `w${n}`, shape), i);
  const graph = { name: 'chain', inputs: [x], outputs: [{ name: 'y', node: y }], updates: [] };
  const random = new Random(1);
  const leaves = nodesOf(graph).filter(({ attrs }) => attrs.name !== undefined);
  return { graph, bindings: Object.fromEntries(leaves.map((n) => [String(n.attrs.name), drawValues(random, n.type)])) };
}

describe.each(Object.entries(STEPS))('a chain of %s', (_, step) => {
  it('of some hundreds gives what the interpreter does', () => {
    const { graph, bindings } = chain(step, 300);
    const { outputs, scheduled } = runSchedule(graph, bindings, { device: PORTABLE, verify: true });
    expect(relativeError(outputs.y, interpret(graph, bindings).outputs.y.data)).toBeLessThan(1e-9);
    for (const { region } of scheduled.regions) expect(region.members.length).toBeLessThanOrEqual(MOST_OPS);
  });

  it('of thousands compiles', () => {
    const { graph } = chain(step, 1500);
    expect(compileGraphs([graph], { device: PORTABLE }).wgsl.size).toBeGreaterThan(0);
  });
});

it('ten thousand ops compile, and take no kernels for each other', () => {
  const { graph } = chain(STEPS['pointwise ops'], 2500);
  const { regions } = schedule(graph, { device: PORTABLE });
  expect(nodesOf(graph).length).toBeGreaterThanOrEqual(10_000);
  expect(regions.length).toBeLessThan(100);
});

it('a tree of a thousand branches is computed by kernels that are none too large', () => {
  const { graph, bindings } = chain(STEPS.views, 0);
  const [x] = graph.inputs;
  const f = new Functional(ownerOf(x)!);
  let level = Array.from({ length: 1024 }, (_, i) => f.unary('sin', f.mul(x, 1 + i / 1024)));
  while (level.length > 1) level = level.flatMap((y, i) => (i % 2 ? [f.add(f.mul(level[i - 1], 0.5), y)] : []));
  const tree = { ...graph, outputs: [{ name: 'y', node: level[0] }] };
  const { outputs, scheduled } = runSchedule(tree, bindings, { device: PORTABLE, verify: true });
  expect(relativeError(outputs.y, interpret(tree, bindings).outputs.y.data)).toBeLessThan(1e-6);
  for (const { region } of scheduled.regions) expect(region.members.length).toBeLessThanOrEqual(MOST_OPS);
});

it('a derivative through hundreds of steps compiles', () => {
  const { graph } = chain(STEPS['pointwise ops'], 500);
  const [{ node: y }] = graph.outputs;
  const [weight] = nodesOf(graph).filter(({ op }) => op === 'param');
  const f = new Functional(ownerOf(y)!);
  const slope = f.op('gradient', [f.reshape(f.sum(y, [0, 1]), []), weight]);
  const step = { ...graph, outputs: [], updates: [{ state: weight, node: f.sub(weight, slope) }] };
  expect(compileGraphs([step], { device: PORTABLE }).wgsl.size).toBeGreaterThan(0);
});

it('a thousand results side by side compile', () => {
  const { graph } = chain(STEPS['pointwise ops'], 0);
  const [x] = graph.inputs;
  const f = new Functional(ownerOf(x)!);
  const outputs = Array.from({ length: 1000 }, (_, i) => ({ name: `y${i}`, node: f.mul(f.unary('sin', x), i + 0.5) }));
  expect(compileGraphs([{ ...graph, outputs }], { device: PORTABLE }).wgsl.size).toBeGreaterThan(0);
});

it.each([
  ['more matrices than a grid is deep', [70_000, 2, 3], [70_000, 4, 3], [70_000, 4, 3]],
  ['wider values than workgroup memory holds', [4, 8], [4, 8], [4, 5000]],
])('attention over %s is products', (_, ...shapes) => {
  const f = new Functional(new GraphBuilder(opTable));
  const inputs = shapes.map((shape, i) => f.op('input', [], { name: `x${i}`, dtype: 'f32', shape }));
  const node = f.op('attention', inputs, { scale: 0.5 });
  const { regions } = schedule(
    { name: 'g', inputs, outputs: [{ name: 'y', node }], updates: [] },
    { device: PORTABLE },
  );
  expect(regions.flatMap(({ region }) => region.anchor?.op ?? [])).toEqual(['matmul', 'matmul']);
});
