/** Products of few rows on GPUs, by subgroups along k: in the tests' machine, and on this machine's device as if it were one. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compileGraphs } from '../../../compiler/compile.ts';
import type { DeviceSpec } from '../../../compiler/device.ts';
import type { Graph } from '../../../compiler/ir/index.ts';
import { interpret, Random } from '../../../compiler/ops/index.ts';
import { schedule } from '../../../compiler/pipeline.ts';
import { graphOf } from '../../helpers/build-graph.ts';
import { GPU } from '../../helpers/devices.ts';
import { TestGpu } from '../../helpers/gpu.ts';
import { relativeError } from '../../helpers/relative-error.ts';
import { runSchedule } from '../../helpers/run-schedule.ts';
import { drawValues } from '../../helpers/samples.ts';

const OPTIONS = { device: GPU, passes: [], verify: true };

/** silu(x)·Wᵀ + bias: what conditioning goes through. */
const conditioning = (m: number, n: number, k: number) =>
  graphOf((f, input) => {
    const x = f.op('silu', [input('x', [m, k])]);
    return [f.add(f.matmul(x, f.transpose(input('w', [n, k]))), input('bias', [n]))];
  });

function judged(graph: Graph) {
  const random = new Random(9);
  const drawn = graph.inputs.map((node) => [String(node.attrs.name), drawValues(random, node.type)] as const);
  const bindings = Object.fromEntries(drawn);
  return { bindings, want: interpret(graph, bindings).outputs };
}

describe.each([
  [1, 72, 128],
  [1, 37, 1025],
  [3, 33, 132],
  [17, 20, 96],
  [31, 8, 33],
])('%d×%d of %d', (m, n, k) => {
  it('is one kernel, and right', () => {
    const graph = conditioning(m, n, k);
    const { bindings, want } = judged(graph);
    const { outputs, scheduled } = runSchedule(graph, bindings, OPTIONS);
    expect(scheduled.regions.map(({ plan }) => plan.family)).toEqual(['product-dot-subgroup']);
    for (const { name } of graph.outputs) expect(relativeError(outputs[name], want[name].data)).toBeLessThan(1e-5);
  });
});

it('is not for many rows, short depths, operands across k, devices without subgroups, and where the batch must not matter', () => {
  const familyOf = (graph: Graph, device: DeviceSpec = GPU) =>
    schedule(graph, { ...OPTIONS, device }).regions[0].plan.family;
  const graph = conditioning(2, 64, 64);
  expect(familyOf(graph)).toBe('product-dot-subgroup');
  expect(familyOf(conditioning(32, 64, 64))).not.toBe('product-dot-subgroup');
  expect(familyOf(conditioning(2, 64, 31))).not.toBe('product-dot-subgroup');
  const across = graphOf((f, input) => [f.matmul(input('x', [2, 64]), input('w', [64, 64]))]);
  expect(familyOf(across)).not.toBe('product-dot-subgroup');
  expect(familyOf(graph, { ...GPU, features: [], subgroups: null })).not.toBe('product-dot-subgroup');
  expect(familyOf(graph, { ...GPU, steady: true })).not.toBe('product-dot-subgroup');
});

describe('on this machine’s device, as a GPU', () => {
  let gpu: TestGpu;
  beforeAll(async () => {
    gpu = await TestGpu.open();
  });
  afterAll(() => gpu?.close());

  it.each([
    [1, 37, 1025],
    [3, 33, 132],
  ])('%d×%d of %d', async (m, n, k) => {
    const graph = conditioning(m, n, k);
    const { bindings, want } = judged(graph);
    const device: DeviceSpec = { ...gpu.spec, name: 'as a GPU', kind: 'hardware' };
    const { outputs } = await gpu.run(compileGraphs([graph], { ...OPTIONS, device }), graph.name, bindings);
    for (const { name } of graph.outputs) expect(relativeError(outputs[name], want[name].data)).toBeLessThan(1e-5);
  });
});
