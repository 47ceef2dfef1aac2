/** Kernels built for subgroups of one size, on a device of another: right on wider ones, refused on narrower ones. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { GraphBuilder, type Graph, type Node } from '../../compiler/ir/index.ts';
import { Functional, interpret, opTable, Random } from '../../compiler/ops/index.ts';
import { compileGraphs } from '../../compiler/compile.ts';
import type { DeviceSpec } from '../../compiler/device.ts';
import { TestGpu } from '../helpers/gpu.ts';
import { relativeError } from '../helpers/relative-error.ts';
import { drawValues } from '../helpers/samples.ts';

let gpu: TestGpu;
beforeAll(async () => {
  gpu = await TestGpu.open();
});
afterAll(() => gpu?.close());

/** A kernel of each family that works by subgroups: a product, rows of a softmax, attention. */
function subgroupGraph(): Graph {
  const builder = new GraphBuilder(opTable);
  const f = new Functional(builder);
  const input = (name: string, shape: number[]) => builder.apply('input', [], { name, dtype: 'f32', shape });
  const [q, k, v] = ['q', 'k', 'v'].map((name) => input(name, [2, 21, 9]));
  const x = input('x', [297, 252]);
  const w = input('w', [129, 252]);
  const attended = f.matmul(f.op('softmax', [f.mul(f.matmul(q, f.transpose(k)), 1 / 3)]), v);
  const outputs = [
    { name: 'product', node: f.matmul(x, f.transpose(w)) },
    { name: 'rows', node: f.op('softmax', [x]) },
    { name: 'attended', node: attended },
  ];
  return { name: 'subgroups', inputs: [q, k, v, x, w], outputs, updates: [] };
}

const lanesOf = (factor: number): number => gpu.spec.subgroups!.min * factor;

/** The device as it would be with `factor` times the lanes. */
function withLanes(factor: number): DeviceSpec {
  const size = lanesOf(factor);
  // Without caches, small attentions too have a kernel of their own.
  return { ...gpu.spec, name: `subgroups of ${size}`, subgroups: { min: size, max: size }, cacheBytes: 0 };
}

const build = (device: DeviceSpec) => compileGraphs([subgroupGraph()], { device, verify: true });

it('wider subgroups compute what narrower ones would', async ({ skip }) => {
  if (gpu.spec.kind !== 'software' || !gpu.spec.subgroups) skip('this adapter is not planned by subgroups');
  const graph = subgroupGraph();
  const random = new Random(3);
  const bindings = Object.fromEntries(graph.inputs.map((n) => [String(n.attrs.name), drawValues(random, n.type)]));
  const want = interpret(graph, bindings);
  for (const factor of [1, 1 / 2]) {
    const artefact = build(withLanes(factor));
    const families = Object.values(artefact.manifest.kernels).flatMap(({ plan, subgroup }) =>
      subgroup ? [plan.family] : [],
    );
    // Attention takes subgroups of 4 lanes and more.
    const attention = lanesOf(factor) >= 4 ? ['attention-subgroup'] : [];
    expect(families.sort()).toEqual([...attention, 'product-subgroup', 'row']);
    const products = Object.values(artefact.manifest.kernels).filter(({ plan }) => plan.family === 'product-subgroup');
    expect(
      products.map(({ plan }) => [plan.left, plan.right]),
      'loads by fours',
    ).toEqual([['k4', 'k4']]);
    const { outputs } = await gpu.run(artefact, graph.name, bindings);
    for (const { name } of graph.outputs)
      expect(relativeError(outputs[name], want.outputs[name].data), `${name}, lanes × ${factor}`).toBeLessThan(1e-5);
  }
});

it.each([
  { layout: 'x·Wᵀ', left: 'k4', right: 'k4' },
  { layout: 'd·W', left: 'k4', right: 'n4' },
  { layout: 'dᵀ·x', left: 'm4', right: 'n4' },
  { layout: 'dᵀ·Wᵀ', left: 'one', right: 'one' },
])('a product $layout with partial tiles loads fours where they lie', async ({ layout, left, right }) => {
  if (gpu.spec.kind !== 'software' || !gpu.spec.subgroups) return;
  const [m, k, n] = [332, 164, 180];
  const builder = new GraphBuilder(opTable);
  const f = new Functional(builder);
  const operand = (name: string, transposed: boolean, shape: [number, number]): [Node, Node] => {
    const node = builder.apply('input', [], { name, dtype: 'f32', shape: transposed ? shape.reverse() : shape });
    return [node, transposed ? f.transpose(node) : node];
  };
  const [a, x] = operand('a', layout.startsWith('dᵀ'), [m, k]);
  const [c, y] = operand('c', layout.endsWith('Wᵀ'), [k, n]);
  const node = f.add(f.op('tanh', [f.matmul(x, y)]), 1);
  const graph: Graph = { name: 'product', inputs: [a, c], outputs: [{ name: 'out', node }], updates: [] };
  const random = new Random(5);
  const bindings = { a: drawValues(random, a.type), c: drawValues(random, c.type) };
  const want = interpret(graph, bindings).outputs.out.data;
  for (const factor of [1, 1 / 2]) {
    const artefact = compileGraphs([graph], { device: withLanes(factor), verify: true });
    // Rows in fours are loaded by 8 lanes or more.
    const rows = left === 'm4' && lanesOf(factor) < 8 ? 'one' : left;
    expect(Object.values(artefact.manifest.kernels).map(({ plan }) => plan)).toMatchObject([{ left: rows, right }]);
    const { outputs } = await gpu.run(artefact, 'product', bindings);
    expect(relativeError(outputs.out, want), `lanes × ${factor}`).toBeLessThan(1e-5);
  }
});

it('narrower subgroups are refused, with the kernel and the fix', async ({ skip }) => {
  if (gpu.spec.kind !== 'software' || !gpu.spec.subgroups) skip('this adapter is not planned by subgroups');
  const lanes = gpu.spec.subgroups!.min;
  const run = gpu.run(build(withLanes(2)), 'subgroups', {});
  await expect(run).rejects.toMatchObject({ code: 'missing-feature' });
  await expect(run).rejects.toThrow(
    new RegExp(`counts on subgroups of ${2 * lanes} lanes[^]*as few as ${lanes}[^]*ditc build --device`),
  );
});
