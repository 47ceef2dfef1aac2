/** Elements by themselves: one an invocation, or on GPUs four that lie side by side, loaded and stored so; what is read turned, by tiles. */
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
import { HALF_PASS } from '../../helpers/tolerances.ts';

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

/** Channels of a picture beside each other, of what was normalised with them apart; f16 is how it is stored. */
const channelsLast = (channels: number, height: number, width: number, dtype: 'f32' | 'f16') =>
  graphOf((f, input) => {
    const x = input('x', [2, channels, height, width]);
    const scaled = f.mul(f.sub(x, input('mean', [2, 1, 1, 1])), input('weight', [channels, 1, 1]));
    return [f.op('lay_out', [f.permute(f.cast(f.sigmoid(scaled), dtype), [0, 2, 3, 1])])];
  });
/** Both of what is read lies turned, and one of them not. */
const both = (rows: number, columns: number, isOther: boolean) =>
  graphOf((f, input) => {
    const y = isOther ? input('y', [rows, columns]) : f.transpose(input('y', [columns, rows]));
    return [f.add(f.transpose(input('x', [columns, rows])), y)];
  });
const TURNED = (axis: number, tile = { tall: 8, wide: 16, workgroup: 16 }) => ({ family: 'map-turned', axis, ...tile });

const TURNED_CASES: readonly (readonly [what: string, graph: Graph, axis: number])[] = [
  ['a matrix of whole tiles', turned(16, 32), 0],
  ['a matrix with partial tiles', turned(20, 36), 0],
  ['a picture', channelsLast(20, 3, 12, 'f32'), 2],
  ['a picture stored as f16', channelsLast(20, 3, 12, 'f16'), 2],
  ['a picture, by its rows', channelsLast(12, 4, 5, 'f32'), 1],
  ['what is padded', padded(8, 24), 0],
];

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

it('vectors of few elements share a kernel, which tests for no end', () => {
  const graphs = [48, 80, 96].map((columns) => ({ ...gated(1, columns), name: `of${columns}` }));
  const { manifest, wgsl } = compileGraphs(graphs, { ...OPTIONS, device: PORTABLE });
  const dispatches = Object.values(manifest.entries).map((entry) => entry.dispatches[0]);
  expect(new Set(dispatches.map(({ kernel }) => kernel)).size).toBe(1);
  expect(dispatches.map(({ workgroups }) => workgroups[0])).toEqual([3, 5, 6]);
  expect([...wgsl.values()].join()).not.toMatch(/return;/);
});

it.each(TURNED_CASES)('%s: right by tiles that are turned', (_, graph, axis) => {
  const { bindings, want } = judged(graph);
  const { outputs, scheduled } = runSchedule(graph, bindings, { ...OPTIONS, plan: () => TURNED(axis) });
  expect(scheduled.regions.map(({ plan }) => plan.family)).toEqual(['map-turned']);
  const error = graph.outputs[0].node.type.dtype === 'f16' ? HALF_PASS : 1e-6;
  for (const { name } of graph.outputs) expect(relativeError(outputs[name], want[name].data)).toBeLessThan(error);
});

it('on GPUs, many elements are turned where all that is large of what they read lies along another axis', () => {
  const planOf = (graph: Graph, device: DeviceSpec = GPU) => schedule(graph, { ...OPTIONS, device }).regions[0].plan;
  expect(planOf(both(512, 256, false))).toMatchObject({ family: 'map-turned', axis: 0 });
  expect(planOf(channelsLast(64, 32, 64, 'f16'))).toMatchObject({ family: 'map-turned', axis: 2 });
  for (const straight of [both(512, 256, true), gated(512, 256), both(64, 64, false), both(514, 256, false)])
    expect(planOf(straight).family).toBe('map');
  expect(planOf(both(512, 256, false), PORTABLE).family).toBe('map');
  const [text] = compileGraphs([channelsLast(64, 32, 64, 'f16')], OPTIONS).wgsl.values();
  expect(text).toMatch(/read> x: array<vec4f, 65536>/);
  expect(text).toMatch(/read_write> \w+: array<vec4h, 65536>/);
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

  it('a matrix with partial tiles, turned', async () => {
    const graph = turned(20, 36);
    const { bindings, want } = judged(graph);
    const artefact = compileGraphs([graph], { ...OPTIONS, plan: () => TURNED(0) });
    const { outputs } = await gpu.run(artefact, graph.name, bindings);
    for (const { name } of graph.outputs) expect(relativeError(outputs[name], want[name].data)).toBeLessThan(1e-5);
  });
});
