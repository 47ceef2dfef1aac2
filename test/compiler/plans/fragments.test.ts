/**
 * Products on matrix units: the kernels of every kind of fragment, in the tests' machine and by Dawn's front end.
 * @once
 */
import { describe, expect, it } from 'vitest';
import { specOf } from '../../../library/device.ts';
import { compileGraphs } from '../../../compiler/compile.ts';
import type { DeviceSpec } from '../../../compiler/device.ts';
import type { DType, Graph, Node } from '../../../compiler/ir/index.ts';
import { interpret, Random, type Functional } from '../../../compiler/ops/index.ts';
import { schedule } from '../../../compiler/pipeline.ts';
import { graphOf } from '../../helpers/build-graph.ts';
import { LAYOUTS, MATRIX_DEVICES, productGraph, type Sizes } from '../../helpers/fragment-products.ts';
import { relativeError } from '../../helpers/relative-error.ts';
import { runSchedule } from '../../helpers/run-schedule.ts';
import { shaderCheck } from '../../helpers/shader-check.ts';
import { KERNEL } from '../../helpers/tolerances.ts';

/** Whole numbers, or eighths of them: f16 has all of both. */
function judged(graph: Graph, unit = 1) {
  const random = new Random(3);
  const drawn = graph.inputs.map(({ attrs, type }) => {
    const count = type.shape.reduce((a, b) => a * b, 1);
    return [String(attrs.name), Float64Array.from({ length: count }, () => random.int(-8, 8) * unit)] as const;
  });
  const bindings = Object.fromEntries(drawn);
  return { bindings, want: interpret(graph, bindings).outputs };
}

const optionsFor = (device: DeviceSpec) => ({ device, passes: [], verify: true });

function run(graph: Graph, device: DeviceSpec, unit?: number) {
  const { bindings, want } = judged(graph, unit);
  const { outputs, scheduled } = runSchedule(graph, bindings, optionsFor(device));
  return { outputs, want, plans: scheduled.regions.map(({ plan }) => plan) };
}

/** Both operands of f16 where fragments of f16 are multiplied, or where f32 units have nothing else to do. */
const TYPES = (device: DeviceSpec): DType[] =>
  device.subgroupMatrix![0].componentType === 'f32' ? ['f32', 'f16'] : ['f16'];

const CASES = MATRIX_DEVICES.flatMap((device) => TYPES(device).map((dtype) => [device.name, dtype, device] as const));

describe.each(CASES)('%s of %s', (_, dtype, device) => {
  const SIZES: readonly Sizes[] = [
    { m: 64, n: 64, k: 32 },
    { m: 65, n: 70, k: 37, batch: [2] },
    { m: 68, n: 132, k: 100 },
  ];

  it.each(LAYOUTS.flatMap(([layout, ...turned]) => SIZES.map((sizes) => [layout, sizes, turned] as const)))(
    '%s of %j, to the bit',
    (__, sizes, turned) => {
      const { outputs, want, plans } = run(productGraph(sizes, dtype, turned), device);
      expect(plans.map(({ family }) => family)).toEqual(['product-fragments']);
      expect([...outputs.out0]).toEqual([...want.out0.data]);
    },
  );

  it.each([
    { m: 65, n: 36, k: 64 },
    { m: 36, n: 65, k: 64 },
  ])('of few rows or columns, %j, to the bit', (sizes) => {
    const { outputs, want, plans } = run(productGraph(sizes, dtype), device);
    expect(plans.map(({ family }) => family)).toEqual(['product-fragments']);
    expect([...outputs.out0]).toEqual([...want.out0.data]);
  });

  it('with what follows it', () => {
    const graph = productGraph({ m: 65, n: 70, k: 33 }, dtype, [false, true], (f, product, input) => {
      const bent = f.op('gelu', [f.add(product, input('bias', [70]))]);
      return f.add(f.mul(bent, input('gate', [70])), input('residual', [65, 70]));
    });
    const { outputs, want, plans } = run(graph, device, 1 / 8);
    expect(plans.map(({ family }) => family)).toEqual(['product-fragments']);
    expect(relativeError(outputs.out0, want.out0.data)).toBeLessThan(KERNEL);
  });

  it('with the sums of its rows', () => {
    const isHalf = dtype === 'f16';
    const graph = graphOf((f, input) => {
      const held = (x: Node) => (isHalf ? f.op('cast', [x], { dtype }) : x);
      const [d, x] = [held(input('d', [40, 68])), held(input('x', [40, 66]))];
      const product = f.op('matmul', [f.transpose(d), x], isHalf ? { dtype: 'f32' } : undefined);
      return [product, f.sum(isHalf ? f.op('cast', [d], { dtype: 'f32' }) : d, [0])];
    });
    const { outputs, want, plans } = run(graph, device);
    expect(plans.map(({ family }) => family)).toContain('product-fragments');
    for (const { name } of graph.outputs) expect([...outputs[name]], name).toEqual([...want[name].data]);
  });

  it('are shaders that Dawn takes', async () => {
    for (const [, ...turned] of LAYOUTS) {
      const { wgsl, manifest } = compileGraphs(
        [productGraph({ m: 65, n: 70, k: 37 }, dtype, turned)],
        optionsFor(device),
      );
      const [[name, text]] = wgsl;
      const check = await shaderCheck(manifest.kernels[name].features);
      expect(await check(text)).toEqual([]);
    }
  });
});

describe('whole numbers stay whole', () => {
  const [device] = MATRIX_DEVICES;

  it.each([1, 2, 3, 5, 8, 16, 33, 64])('over %i tiles of k', (tiles) => {
    const { outputs, want, plans } = run(productGraph({ m: 64, n: 36, k: 32 * tiles }, 'f16'), device);
    expect(plans).toMatchObject([{ family: 'product-fragments', depth: 32 }]);
    expect([...outputs.out0]).toEqual([...want.out0.data]);
  });

  it.each([17, 33, 257, 1025])('over %i rows', (m) => {
    const { outputs, want } = run(productGraph({ m, n: 64, k: 32 }, 'f16'), device);
    expect([...outputs.out0]).toEqual([...want.out0.data]);
  });
});

describe('products that are mostly padding', () => {
  it.each([
    { m: 3, n: 8201, k: 37 },
    { m: 8197, n: 3, k: 37 },
  ])('%j, to the bit', (sizes) => {
    const { outputs, want, plans } = run(productGraph(sizes, 'f16'), MATRIX_DEVICES[0]);
    expect(plans.map(({ family }) => family)).toEqual(['product-fragments']);
    expect([...outputs.out0]).toEqual([...want.out0.data]);
  });
});

/** The plan of x·y. */
const planOf = (sizes: Sizes, device: DeviceSpec, dtype: DType = 'f16') =>
  schedule(productGraph(sizes, dtype), optionsFor(device)).regions[0].plan;

describe('matrix units', () => {
  const square = { m: 1024, n: 1024, k: 256 };

  it('multiply in the shapes that the device has, by subgroups of one size', () => {
    expect(planOf(square, specOf('rdna3'))).toMatchObject({ of: 'f16', m: 16, n: 16, k: 16, lanes: 32, sized: true });
    expect(planOf(square, specOf('hopper'))).toMatchObject({ of: 'f16', m: 16, n: 16, k: 16, lanes: 32, sized: false });
    expect(planOf(square, specOf('xe2'))).toMatchObject({ of: 'f16', m: 8, n: 16, k: 16, lanes: 16, sized: true });
    expect(planOf(square, specOf('apple-m'))).toMatchObject({ of: 'f32', m: 8, n: 8, k: 8, lanes: 32, sized: false });
  });

  it('never multiply what is f32 as f16', () => {
    expect(planOf(square, specOf('rdna3'), 'f32').family).not.toBe('product-fragments');
    expect(planOf(square, specOf('apple-m'), 'f32')).toMatchObject({ family: 'product-fragments', of: 'f32' });
  });

  it('are left alone where the device has none, or is no GPU', () => {
    expect(planOf(square, specOf('rdna2')).family).not.toBe('product-fragments');
    expect(planOf(square, { ...specOf('rdna3'), kind: 'software' }).family).not.toBe('product-fragments');
    const varying = {
      ...specOf('rdna3'),
      features: specOf('rdna3').features.filter((f) => f !== 'subgroup-size-control'),
    };
    expect(planOf(square, varying).family).not.toBe('product-fragments');
  });

  it('multiply few rows or columns where they are not a matter of one in eight, and of the other are very many', () => {
    const device = specOf('rdna3');
    expect(planOf({ m: 3, n: 65536, k: 1152 }, device)).toMatchObject({
      family: 'product-fragments',
      rows: 1,
      columns: 4,
    });
    expect(planOf({ m: 65536, n: 3, k: 1152 }, device)).toMatchObject({
      family: 'product-fragments',
      rows: 4,
      columns: 1,
    });
    expect(planOf({ m: 1, n: 65536, k: 1152 }, device).family).not.toBe('product-fragments');
    expect(planOf({ m: 8, n: 2304, k: 384 }, device).family).not.toBe('product-fragments');
  });

  it('have blocks of a subgroup as large as its registers are, for products of one tile in width', () => {
    expect(planOf({ m: 256, n: 32, k: 384 }, specOf('rdna3'))).toMatchObject({
      rows: 4,
      columns: 2,
      down: 1,
      across: 1,
    });
  });

  it.each(['rdna3', 'rdna4', 'hopper', 'ada', 'blackwell', 'xe2', 'apple-m'])(
    'multiply all layers of a DiT and their gradients on %s',
    (name) => {
      for (const d of [384, 768, 1024, 1152])
        for (const rows of [256, 2048])
          for (const [m, n, k] of [
            ...[3 * d, d, 4 * d].flatMap((wide) => [
              [rows, wide, d],
              [rows, d, wide],
              [wide, d, rows],
            ]),
            [rows, 32, d],
            [32, d, rows],
            [rows, d, 32],
          ])
            expect(planOf({ m, n, k }, specOf(name)).family, `${m}×${n} over ${k}`).toBe('product-fragments');
    },
  );

  it('have large tiles where these are many', () => {
    expect(planOf(square, specOf('rdna3'))).toMatchObject({ rows: 4, columns: 4, down: 2, across: 2 });
    expect(planOf({ ...square, m: 256 }, specOf('rdna3'))).toMatchObject({ rows: 2, columns: 4, down: 2, across: 1 });
  });
});

describe('operands that are computed', () => {
  const device = MATRIX_DEVICES.find(({ subgroupMatrix }) => subgroupMatrix![0].componentType === 'f32')!;
  /** Where the first operand is loaded and where it is multiplied, in the loop over the depth. */
  const orderOf = (graph: Graph) => {
    const [text] = compileGraphs([graph], optionsFor(device)).wgsl.values();
    const loop = text.slice(text.indexOf('for (var t = '));
    return [loop.indexOf('x['), loop.indexOf('subgroupMatrixMultiplyAccumulate')];
  };
  const product = (make: (f: Functional, x: Node) => Node) =>
    graphOf((f, input) => [f.matmul(make(f, input('x', [64, 96])), input('w', [96, 64]))]);

  it('by many operations wait until the units are done, others are under way while these multiply', () => {
    const dear = product((f, x) => f.op('sin', [x]));
    const [loaded, multiplied] = orderOf(dear);
    expect(loaded).toBeGreaterThan(multiplied);
    const [early, late] = orderOf(product((f, x) => f.mul(x, 0.5)));
    expect(early).toBeLessThan(late);
    const { outputs, want, plans } = run(dear, device);
    expect(plans.map(({ family }) => family)).toEqual(['product-fragments']);
    expect(relativeError(outputs.out0, want.out0.data)).toBeLessThan(KERNEL);
  });
});
