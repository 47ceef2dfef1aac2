/** Rows on GPUs: shared by subgroups, or four to an invocation; of any length and number. */
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

/** x̂ · scale + shift. */
const norm = (rows: number, length: number) =>
  graphOf((f, input) => {
    const x = input('x', [rows, length]);
    const centred = f.sub(x, f.mean(x, [1]));
    const normed = f.mul(centred, f.rsqrt(f.add(f.mean(f.square(centred), [1]), 1e-3)));
    return [f.add(f.mul(normed, input('scale', [length])), input('shift', [length]))];
  });

/** A softmax, whose maximum and sum others read as well. */
const softmax = (rows: number, length: number) =>
  graphOf((f, input) => {
    const x = input('x', [rows, length]);
    const most = f.op('reduce_max', [x], { axes: [1] });
    const powers = f.exp(f.sub(x, most));
    const sum = f.sum(powers, [1]);
    return [f.div(powers, sum), most, sum];
  });

/** Sums along the first axis, with something made of them, and of each element. */
const columns = (length: number, count: number) =>
  graphOf((f, input) => {
    const x = input('x', [length, count]);
    const sum = f.sum(x, [0]);
    return [f.add(f.mul(sum, 0.5), input('bias', [1, count])), f.sub(x, sum)];
  });

const groups = (batch: number, channels: number, plane: number) =>
  graphOf((f, input) => [f.mean(input('x', [batch, channels, plane]), [0, 2])]);

const CASES: readonly (readonly [what: string, graph: Graph, lanes: number])[] = [
  ...[1, 17, 257].map((rows) => [`${rows} rows of 36`, norm(rows, 36), 32] as const),
  ['rows of vectors that lanes do not share evenly', norm(5, 1156), 64],
  ['long rows', norm(2, 10240), 256],
  ['rows that are no whole vectors', norm(3, 1025), 256],
  ['rows whose statistics are results', softmax(6, 130), 32],
  ['rows shorter than subgroups', norm(70, 12), 32],
  ['numbers of a few elements', softmax(1, 9), 32],
  ['columns', columns(9, 132), 1],
  ['as many columns as invocations', columns(3, 256), 1],
  ['a row of the batch and the plane of a channel', groups(3, 4, 36), 32],
];

function judged(graph: Graph) {
  const random = new Random(7);
  const drawn = graph.inputs.map((node) => [String(node.attrs.name), drawValues(random, node.type)] as const);
  const bindings = Object.fromEntries(drawn);
  return { bindings, want: interpret(graph, bindings).outputs };
}

describe.each(CASES)('%s', (_, graph, lanes) => {
  it(`${lanes} lanes a row: one kernel, and right`, () => {
    const { bindings, want } = judged(graph);
    const { outputs, scheduled } = runSchedule(graph, bindings, OPTIONS);
    expect(scheduled.regions.map(({ plan }) => plan)).toMatchObject([{ family: 'row-vectors', lanes }]);
    for (const { name } of graph.outputs)
      expect(relativeError(outputs[name], want[name].data), name).toBeLessThan(1e-5);
  });
});

describe('on this machine’s device, as a GPU', () => {
  let gpu: TestGpu;
  beforeAll(async () => {
    gpu = await TestGpu.open();
  });
  afterAll(() => gpu?.close());

  it.each(['17 rows of 36', 'rows that are no whole vectors', 'rows whose statistics are results', 'columns'])(
    '%s',
    async (wanted) => {
      const [, graph] = CASES.find(([name]) => name === wanted)!;
      const { bindings, want } = judged(graph);
      const device: DeviceSpec = { ...gpu.spec, name: 'as a GPU', kind: 'hardware' };
      const { outputs } = await gpu.run(compileGraphs([graph], { ...OPTIONS, device }), graph.name, bindings);
      for (const { name } of graph.outputs)
        expect(relativeError(outputs[name], want[name].data), name).toBeLessThan(1e-5);
    },
  );
});

it('rows and columns are loaded and stored by fours', () => {
  for (const graph of [norm(4, 64), columns(9, 132)]) {
    const [text] = compileGraphs([graph], OPTIONS).wgsl.values();
    expect(text).toMatch(/read> x: array<vec4f, \d+>/);
    expect(text).toMatch(/read_write> \w+: array<vec4f, \d+>/);
  }
});

it('where a workgroup has several subgroups, its invocations are numbered as these are: WGSL does not say which of them make one', () => {
  const [text] = compileGraphs([norm(4, 64)], OPTIONS).wgsl.values();
  expect(text).toContain('requires subgroup_id;');
  expect(text).toContain('let lane = min(subgroup * 32u + place, 127u);');
  expect(text).not.toContain('local_invocation_index');
});

it('are those of the family without subgroups where a device has none, or rows are of a few elements', () => {
  const familyOf = (graph: Graph, device = GPU) => schedule(graph, { ...OPTIONS, device }).regions[0].plan.family;
  expect(familyOf(norm(64, 36), { ...GPU, features: [], subgroups: null })).toBe('row');
  expect(familyOf(norm(64, 7))).toBe('row');
  expect(familyOf(columns(9, 130))).toBe('row');
});
