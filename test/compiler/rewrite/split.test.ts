/** Long reductions in two stages: the same values, whatever the axes, and no stage too long for one workgroup where that can be. */
import { expect, it } from 'vitest';
import { PORTABLE, type DeviceSpec } from '../../../compiler/device.ts';
import { GraphBuilder, nodesOf, sizeOf, type Graph } from '../../../compiler/ir/index.ts';
import { Functional, interpret, opTable, Random } from '../../../compiler/ops/index.ts';
import { split } from '../../../compiler/rewrite/split.ts';

const CASES: [shape: number[], axes: number[], stages: number][] = [
  [[384, 1536], [0, 1], 2],
  [[65536], [0], 2],
  [[2, 40000], [0, 1], 3],
  [[2, 40000], [1], 2],
  [[3, 128, 5, 130], [1, 3], 2],
  [[2, 20000, 3], [1], 2],
  // The first axis may be the batch, on which the order of adding must not depend.
  [[1, 16384], [1], 2],
  [[64, 16384], [1], 2],
  [[1, 16, 16384], [2], 1],
  [[1152], [0], 1],
  // A prime has no pieces.
  [[16411], [0], 1],
  [[16411, 3], [0, 1], 1],
];

it.each(CASES)('%j over %j', (shape, axes, stages) => {
  const f = new Functional(new GraphBuilder(opTable));
  const x = f.op('input', [], { name: 'x', dtype: 'f32', shape });
  const outputs = ['reduce_sum', 'reduce_max'].map((op) => ({ name: op, node: f.op(op, [x], { axes }) }));
  const graph: Graph = { name: 'long', inputs: [x], outputs, updates: [] };
  const made = split(graph, { device: PORTABLE });
  expect(nodesOf(made).filter(({ op }) => op === 'reduce_sum')).toHaveLength(stages);
  const random = new Random(sizeOf(shape));
  const bindings = { x: Float64Array.from({ length: sizeOf(shape) }, () => random.uniform(-1, 1)) };
  const [want, got] = [graph, made].map((g) => interpret(g, bindings).outputs);
  for (const { name } of outputs) {
    expect(got[name].shape).toEqual(want[name].shape);
    got[name].data.forEach((v, i) => expect(v).toBeCloseTo(want[name].data[i], 9));
  }
});

it('GPUs share among workgroups what others leave to one for each of some rows', () => {
  const f = new Functional(new GraphBuilder(opTable));
  const x = f.op('input', [], { name: 'x', dtype: 'f32', shape: [1, 32, 65536] });
  const graph: Graph = {
    name: 'groups',
    inputs: [x],
    outputs: [{ name: 'sum', node: f.sum(x, [2]) }],
    updates: [],
  };
  const stages = (device: DeviceSpec) =>
    nodesOf(split(graph, { device })).filter(({ op }) => op === 'reduce_sum').length;
  expect(stages(PORTABLE)).toBe(1);
  expect(stages({ ...PORTABLE, name: 'hardware' })).toBe(2);
});
