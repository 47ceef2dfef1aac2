/** Elements by themselves: one an invocation, or on GPUs four that lie side by side, loaded and stored so. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compileGraphs } from '../../../compiler/compile.ts';
import { PORTABLE, type DeviceSpec } from '../../../compiler/device.ts';
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
const FOURS = () => ({ family: 'map', workgroup: 64, width: 4 });

/** A gate by row and column. */
const gated = (rows: number, columns: number) =>
  graphOf((f, input) => {
    const x = input('x', [rows, columns]);
    const scaled = f.sigmoid(f.mul(x, input('gate', [rows, 1])));
    return [f.add(scaled, input('bias', [columns]))];
  });

/** Read turned, and with an edge of zeros. */
const turned = (rows: number, columns: number) =>
  graphOf((f, input) => [f.exp(f.add(f.transpose(input('x', [columns, rows])), input('y', [rows, columns])))]);
const padded = (rows: number, columns: number) =>
  graphOf((f, input) => [f.add(f.pad(input('x', [rows, columns - 2]), [0, 1], [0, 1]), input('y', [rows, columns]))]);

const CASES: readonly (readonly [what: string, graph: Graph])[] = [
  ['rows and columns', gated(9, 72)],
  ['what is read turned', turned(7, 68)],
  ['an edge of zeros', padded(5, 24)],
];

function judged(graph: Graph) {
  const random = new Random(13);
  const drawn = graph.inputs.map((node) => [String(node.attrs.name), drawValues(random, node.type)] as const);
  const bindings = Object.fromEntries(drawn);
  return { bindings, want: interpret(graph, bindings).outputs };
}

it.each(CASES)('%s: right by fours', (_, graph) => {
  const { bindings, want } = judged(graph);
  const { outputs } = runSchedule(graph, bindings, { ...OPTIONS, plan: FOURS });
  for (const { name } of graph.outputs) expect(relativeError(outputs[name], want[name].data)).toBeLessThan(1e-6);
});

it('many elements on GPUs are computed by fours, fewer and those of software one by one', () => {
  const planOf = (graph: Graph, device: DeviceSpec) => schedule(graph, { ...OPTIONS, device }).regions[0].plan;
  expect(planOf(gated(512, 256), GPU)).toEqual(FOURS());
  for (const [graph, device] of [
    [gated(64, 256), GPU],
    [gated(512, 258), GPU],
    [gated(512, 256), PORTABLE],
  ] as const)
    expect(planOf(graph, device)).toEqual({ family: 'map', workgroup: 64 });
  const [text] = compileGraphs([gated(512, 256)], OPTIONS).wgsl.values();
  expect(text).toMatch(/read> x: array<vec4f, 32768>/);
  expect(text).toMatch(/read_write> \w+: array<vec4f, 32768>/);
});

describe('on this machine’s device', () => {
  let gpu: TestGpu;
  beforeAll(async () => {
    gpu = await TestGpu.open();
  });
  afterAll(() => gpu?.close());

  it.each(CASES)('%s', async (_, graph) => {
    const { bindings, want } = judged(graph);
    const { outputs } = await gpu.run(compileGraphs([graph], { ...OPTIONS, plan: FOURS }), graph.name, bindings);
    for (const { name } of graph.outputs) expect(relativeError(outputs[name], want[name].data)).toBeLessThan(1e-5);
  });
});
