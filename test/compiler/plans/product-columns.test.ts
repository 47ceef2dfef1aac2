/** Products of few rows whose columns lie side by side: in the tests' machine, and on this machine's device as if it were a GPU. */
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

/** d·W + bias: what derivatives go back through conditioning by. */
const backwards = (m: number, n: number, k: number) =>
  graphOf((f, input) => [f.add(f.matmul(input('d', [m, k]), input('w', [k, n])), input('bias', [n]))]);

/** Of what is joined along k. */
const joined = (m: number, n: number, parts: readonly number[]) =>
  graphOf((f, input) => {
    const d = f.concat(
      parts.map((k, i) => input(`d${i}`, [m, k])),
      1,
    );
    return [f.matmul(d, input('w', [parts.reduce((sum, k) => sum + k), n]))];
  });

/** A 3×3 convolution to a few channels. */
const narrowing = (channels: number, out: number, size: number) =>
  graphOf((f, input) => {
    const x = f.pad(input('x', [1, channels, size, size]), [0, 0, 1, 1], [0, 0, 1, 1]);
    const windows = f.permute(f.unfold(f.unfold(x, 2, 3), 3, 3), [0, 1, 4, 5, 2, 3]);
    const places = f.reshape(windows, [1, channels * 9, size * size]);
    return [f.add(f.matmul(input('w', [out, channels * 9]), places), input('bias', [out, 1]))];
  });

const CASES: readonly (readonly [what: string, graph: Graph, shares: number])[] = [
  ['one share of a short depth', backwards(8, 132, 20), 1],
  ['whole shares', backwards(8, 128, 1024), 16],
  ['shares of which some have nothing at the end', backwards(3, 68, 324), 8],
  ['depths and columns that are no whole vectors', backwards(5, 70, 131), 4],
  ['more rows than an invocation has', backwards(17, 64, 128), 4],
  ['operands joined along k', joined(8, 64, [12, 52]), 2],
  ['a convolution to three channels', narrowing(16, 3, 12), 4],
];

function judged(graph: Graph) {
  const random = new Random(11);
  const drawn = graph.inputs.map((node) => [String(node.attrs.name), drawValues(random, node.type)] as const);
  const bindings = Object.fromEntries(drawn);
  return { bindings, want: interpret(graph, bindings).outputs };
}

describe.each(CASES)('%s', (_, graph, shares) => {
  it(`is one kernel of ${shares}, and right`, () => {
    const { bindings, want } = judged(graph);
    const { outputs, scheduled } = runSchedule(graph, bindings, OPTIONS);
    expect(scheduled.regions.map(({ plan }) => plan)).toMatchObject([{ family: 'product-columns', shares }]);
    for (const { name } of graph.outputs) expect(relativeError(outputs[name], want[name].data)).toBeLessThan(1e-5);
  });
});

it('is not for many rows, columns apart or few, software, and where the batch must not matter', () => {
  const familyOf = (graph: Graph, device: DeviceSpec = GPU) =>
    schedule(graph, { ...OPTIONS, device }).regions[0].plan.family;
  const graph = backwards(8, 128, 256);
  expect(familyOf(graph)).toBe('product-columns');
  expect(familyOf(backwards(32, 128, 256))).not.toBe('product-columns');
  expect(familyOf(backwards(8, 60, 256))).not.toBe('product-columns');
  const apart = graphOf((f, input) => [f.matmul(input('d', [8, 128]), f.transpose(input('w', [128, 128])))]);
  expect(familyOf(apart)).not.toBe('product-columns');
  expect(familyOf(graph, { ...GPU, kind: 'software' })).not.toBe('product-columns');
  expect(familyOf(graph, { ...GPU, steady: true })).not.toBe('product-columns');
});

it('columns are loaded and stored by fours, and rows by fours of their depth', () => {
  const [text] = compileGraphs([backwards(8, 128, 256)], OPTIONS).wgsl.values();
  for (const name of ['d', 'w', 'bias']) expect(text).toMatch(new RegExp(`read> ${name}: array<vec4f, \\d+>`));
  expect(text).toMatch(/read_write> \w+: array<vec4f, \d+>/);
});

/** The derivative by what goes through layers side by side: their weights lie in memory as one. */
it('where it leaves a GPU idle, its depth is cut, also that of weights that lie one after the other', () => {
  const graph = graphOf((f, input) => {
    const weights = ['a', 'b'].map((name) => f.op('param', [], { name, dtype: 'f32', shape: [2048, 64] }));
    return [f.matmul(input('d', [8, 4096]), f.concat(weights, 0))];
  });
  const { regions } = schedule(graph, { device: GPU, verify: true });
  expect(regions.map(({ plan }) => plan.family)).toEqual(['product-columns', 'row-vectors']);
});

describe('on this machine’s device, as a GPU', () => {
  let gpu: TestGpu;
  beforeAll(async () => {
    gpu = await TestGpu.open();
  });
  afterAll(() => gpu?.close());

  /** A software device compiles eight rows for a quarter of a minute: `DITC_SLOW=1 npm test`. */
  it.each([
    'a convolution to three channels',
    ...(process.env.DITC_SLOW ? ['whole shares', 'depths and columns that are no whole vectors'] : []),
  ])('%s', async (wanted) => {
    const [, graph] = CASES.find(([name]) => name === wanted)!;
    const { bindings, want } = judged(graph);
    const device: DeviceSpec = { ...gpu.spec, name: 'as a GPU', kind: 'hardware' };
    const { outputs } = await gpu.run(compileGraphs([graph], { ...OPTIONS, device }), graph.name, bindings);
    for (const { name } of graph.outputs) expect(relativeError(outputs[name], want[name].data)).toBeLessThan(1e-5);
  });
});
