/** Graphs that once came out wrong, on the adapter's own plans and on those of a device without subgroups. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { GraphBuilder, nodesOf, type Graph, type Node, type Shape } from '../../compiler/ir/index.ts';
import { Functional, interpret, opTable, Random } from '../../compiler/ops/index.ts';
import { compileGraphs } from '../../compiler/compile.ts';
import { PORTABLE, type DeviceSpec } from '../../compiler/device.ts';
import { TestGpu } from '../helpers/gpu.ts';
import { normedLayers } from '../helpers/norm-graph.ts';
import { relativeError } from '../helpers/relative-error.ts';
import { drawValues } from '../helpers/samples.ts';
import { KERNEL } from '../helpers/tolerances.ts';

type Leaf = (name: string, shape: Shape) => Node;
type Case = (f: Functional, input: Leaf) => Node[];

const rowSum = (f: Functional, x: Node) => f.sum(x, [x.type.shape.length - 1]);
const normalised = (f: Functional, x: Node) => f.op('layer_norm', [x], { eps: 1e-3 });

/** Attention of 11 queries to 150 keys, several blocks of them, that all heads share; `keep` says who sees whom. */
function maskedAttention(f: Functional, input: Leaf, keep: (row: Node, key: Node) => Node, fill: number): Node {
  const [row, key] = [0, 1].map((axis) => f.iota('i32', axis ? [1, 150] : [11, 1], axis));
  const operands = [input('q', [2, 3, 11, 8]), input('k', [2, 1, 150, 8]), input('v', [150, 5])];
  return f.op('attention', [...operands, keep(row, key)], { scale: 0.4, fill });
}

const CASES: Record<string, Case> = {
  'causal attention: whole blocks of keys are hidden by −∞': (f, input) => [
    maskedAttention(f, input, (row, key) => f.compare('ge', f.mul(row, 14), key), -Infinity),
  ],
  'attention of rows that may see the last keys only': (f, input) => [
    maskedAttention(f, input, (row, key) => f.compare('gt', key, f.add(row, 138)), -1e9),
  ],
  'attention of rows that see no key takes the mean of the values': (f, input) => [
    maskedAttention(f, input, (row, key) => f.compare('gt', row, f.add(key, 4)), -3.4028234663852886e38),
  ],
  'a product of twelve values side by side, more than a kernel binds': (f, input) => {
    const names = Array.from({ length: 12 }, (_, i) => `p${i}`);
    const all = f.concat(
      names.map((name) => f.transpose(f.op('sin', [input(name, [64, 2])]))),
      0,
    );
    return [f.matmul(all, f.transpose(all))];
  },
  'two row sums meet after one is transposed': (f, input) => {
    const [p, q] = [rowSum(f, input('x', [3, 3, 16])), rowSum(f, input('y', [3, 3, 16]))];
    return [f.add(f.permute(p, [1, 0, 2]), q)];
  },
  'normalised rows shared by all matrices of a batch': (f, input) => [
    f.matmul(normalised(f, input('x', [1, 10, 16])), input('w', [3, 16, 10])),
    f.matmul(normalised(f, input('z', [10, 16])), input('v', [3, 16, 10])),
  ],
  'three windows of a value beside six other reads': (f, input) => {
    const value = f.matmul(input('x', [64, 16]), input('w', [16, 8]));
    const window = (i: number) => f.slice(value, [i * 8, 0], [8, 8]);
    const others = Array.from({ length: 5 }, (_, i) => input(`p${i}`, [8, 8]));
    const mixed = (i: number) =>
      others.reduce((sum, p) => f.add(sum, p), f.add(f.mul(window(i), window(i + 1)), window(i + 2)));
    return [mixed(0), mixed(3), window(6), window(7)];
  },
  'more matrices in a batch than a grid has workgroups': (f, input) => [
    f.matmul(input('x', [70_000, 1, 2]), input('y', [70_000, 2, 1])),
  ],
  'more rows than a grid has workgroups, computed in place': (f, input) => {
    const residual = f.matmul(input('a', [70_001, 2]), input('b', [2, 9]));
    const sums = rowSum(f, f.matmul(input('x', [70_001, 2]), input('w', [2, 9])));
    return [f.add(residual, sums)];
  },
  'a chain too long for one expression': (f, input) => {
    let y = input('x', [8]);
    for (let i = 0; i < 200; i++) y = f.add(f.mul(y, 0.99), 0.01 * ((i % 3) + 1));
    return [y];
  },
  'values named as address spaces are': (f, input) => [f.add(input('storage', [9]), input('read', [9]))],
  'a group norm of values far from zero, between two products': (f, input) => normedLayers(f, input, { mean: 16 }),
  'a group norm between products whose rows are places': (f, input) =>
    normedLayers(f, input, { byPlaces: true, batch: 2, groups: 8, residual: true }),
  'each value reads all before it': (f, input) => {
    const values = [rowSum(f, input('x', [12, 12]))];
    for (let i = 1; i < 7; i++) {
      const sum = values.slice(1).reduce((a, v) => f.add(a, f.mul(v, 0.3)), values[0]);
      values.push(rowSum(f, f.unary('sin', f.add(sum, f.mul(input('x', [12, 12]), 0.1 * i)))));
    }
    return values.slice(-1);
  },
};

function graphOf(make: Case): { graph: Graph; bindings: Record<string, Float64Array> } {
  const f = new Functional(new GraphBuilder(opTable));
  const made = make(f, (name, shape) => f.op('input', [], { name, dtype: 'f32', shape }));
  const outputs = made.map((node, i) => ({ name: `out${i}`, node }));
  const inputs = nodesOf({ name: '', inputs: [], outputs, updates: [] }).filter((n) => n.op === 'input');
  const random = new Random(1);
  const bindings = Object.fromEntries(inputs.map((n) => [String(n.attrs.name), drawValues(random, n.type)]));
  return { graph: { name: 'regression', inputs, outputs, updates: [] }, bindings };
}

describe('regressions', () => {
  let gpu: TestGpu;
  beforeAll(async () => {
    gpu = await TestGpu.open();
  });
  afterAll(() => gpu?.close());

  const devices = (): DeviceSpec[] => [
    gpu.spec,
    { ...gpu.spec, name: 'attentions of any size in one kernel', cacheBytes: 0 },
    { ...gpu.spec, name: 'portable limits', subgroups: null, limits: PORTABLE.limits },
  ];

  it.each(Object.entries(CASES))('%s', async (_name, make) => {
    const { graph, bindings } = graphOf(make);
    const want = interpret(graph, bindings);
    for (const device of devices()) {
      const artefact = compileGraphs([graph], { device, verify: true });
      for (const { kernel, resources } of artefact.manifest.entries.regression.dispatches) {
        const most = device.limits.maxStorageBuffersPerShaderStage;
        expect(resources.length, `buffers of ${kernel}, ${device.name}`).toBeLessThanOrEqual(most);
      }
      const { outputs } = await gpu.run(artefact, graph.name, bindings);
      for (const { name } of graph.outputs) {
        const error = relativeError(outputs[name], want.outputs[name].data);
        expect(error, `${name}, ${device.name}`).toBeLessThanOrEqual(KERNEL);
      }
    }
  });
});
