/** Products by tiles in vectors: in the tests' machine, and on this machine's device by the plans of any GPU. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compileGraphs } from '../../../compiler/compile.ts';
import { PORTABLE, type DeviceSpec } from '../../../compiler/device.ts';
import { parseGraph, type Graph } from '../../../compiler/ir/index.ts';
import { interpret, opTable, Random } from '../../../compiler/ops/index.ts';
import { schedule } from '../../../compiler/pipeline.ts';
import { TestGpu } from '../../helpers/gpu.ts';
import { relativeError } from '../../helpers/relative-error.ts';
import { runSchedule } from '../../helpers/run-schedule.ts';
import { drawValues } from '../../helpers/samples.ts';
import { VECTOR_PRODUCTS } from '../../helpers/vector-products.ts';

function judged(graph: Graph) {
  const random = new Random(5);
  const drawn = graph.inputs.map((node) => [String(node.attrs.name), drawValues(random, node.type)] as const);
  const bindings = Object.fromEntries(drawn);
  return { bindings, want: interpret(graph, bindings).outputs };
}

const HARDWARE: DeviceSpec = { ...PORTABLE, name: 'hardware' };
const PLAIN = { device: HARDWARE, passes: [], verify: true };

describe.each(VECTOR_PRODUCTS)('%s', (_, graph) => {
  it('is one kernel, and right', () => {
    const { bindings, want } = judged(graph);
    const { outputs, scheduled } = runSchedule(graph, bindings, PLAIN);
    expect(scheduled.regions.map(({ plan }) => plan.family)).toEqual(['product-tiled-vec4']);
    for (const { name } of graph.outputs)
      expect(relativeError(outputs[name], want[name].data), name).toBeLessThan(1e-5);
  });
});

describe('on this machine’s device', () => {
  let gpu: TestGpu;
  beforeAll(async () => {
    gpu = await TestGpu.open();
  });
  afterAll(() => gpu?.close());

  /** A software device compiles the kernels of a GPU's tiles for a quarter of a minute each: `DITC_SLOW=1 npm test`. */
  const small = { family: 'product-tiled-vec4', down: 4, across: 4, rows: 4, columns: 4, depth: 4 };
  const plan = process.env.DITC_SLOW ? undefined : ({ anchor }: { anchor?: unknown }) => (anchor ? small : undefined);

  it.each([
    'x·Wᵀ of whole vectors',
    'rows that are normalised, and read by others',
    'd·W of three steps of k',
    ...(process.env.DITC_SLOW
      ? [
          'x·Wᵀ of parts of vectors',
          'heads split off as they are stored',
          'dᵀ·x of parts of vectors',
          'rows of dᵀ summed up beside the product',
        ]
      : []),
  ])('%s', async (wanted) => {
    const [, graph] = VECTOR_PRODUCTS.find(([name]) => name === wanted)!;
    const { bindings, want } = judged(graph);
    const { outputs } = await gpu.run(compileGraphs([graph], { ...PLAIN, plan }), graph.name, bindings);
    for (const { name } of graph.outputs)
      expect(relativeError(outputs[name], want[name].data), name).toBeLessThan(1e-5);
  });
});

/** The plan of x·y. */
function planOf(m: number, n: number, k: number, device: DeviceSpec = HARDWARE) {
  const text = `graph @g(%x: f32[${m},${k}], %y: f32[${k},${n}]) {
    %p = matmul %x, %y : f32[${m},${n}]
    return p = %p
  }`;
  return schedule(parseGraph(text, opTable), { device, passes: [] }).regions[0].plan;
}

describe('tiles', () => {
  it('are large where they are many', () => {
    expect(planOf(1024, 1024, 64)).toMatchObject({ down: 16, across: 16, rows: 8, columns: 8 });
    expect(planOf(512, 512, 64)).toMatchObject({ down: 8, across: 8, rows: 8, columns: 8 });
  });

  it('are those of other families where they would be empty, or the device computes by subgroups', () => {
    expect(planOf(31, 512, 64).family).toBe('product-columns');
    expect(planOf(512, 512, 64, { ...HARDWARE, kind: 'software' }).family).toBe('product-tiled');
  });

  it('are narrow where the product is', () => {
    expect(planOf(256, 32, 1152)).toMatchObject({ down: 16, across: 4, rows: 8, columns: 8 });
    expect(planOf(48, 512, 64)).toMatchObject({ down: 4, across: 16, rows: 8, columns: 8 });
    // 257 rows fill nine tiles of 32 better than three of 128.
    expect(planOf(257, 4608, 64)).toMatchObject({ down: 4, across: 16 });
  });

  it('do not depend on the batch where it must not matter', () => {
    const device = { ...HARDWARE, steady: true };
    expect(planOf(1, 512, 64, device)).toEqual(planOf(4096, 512, 64, device));
  });

  it('fit the memory that workgroups have', () => {
    const limits = { ...HARDWARE.limits, maxComputeWorkgroupStorageSize: 6144 };
    expect(planOf(1024, 1024, 64, { ...HARDWARE, limits })).toMatchObject({ down: 8, across: 8 });
  });
});

it('vectors come straight from memory where they lie there', () => {
  const [, graph] = VECTOR_PRODUCTS.find(([name]) => name === 'x·Wᵀ of whole vectors')!;
  const [text] = compileGraphs([graph], PLAIN).wgsl.values();
  expect(text).toMatch(/x: array<vec4f, 340>/);
  expect(text).toMatch(/y: array<vec4f, 660>/);
  expect(text).toMatch(/var<workgroup> left_tile: array<vec4f, \d+>/);
});
