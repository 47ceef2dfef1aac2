/**
 * Products on matrix units, on a device that has some: a GPU, or the software one of the lab (`npm run lab -- executed
 * test/gpu/matrix.test.ts`, bench/lab/README.md). Elsewhere the tests' machine runs such kernels (compiler/plans/fragments.test.ts).
 */
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { DeviceSpec } from '../../compiler/device.ts';
import type { Graph } from '../../compiler/ir/index.ts';
import { interpret, Random } from '../../compiler/ops/index.ts';
import { range } from '../../compiler/plans/common.ts';
import { fragmentShapes } from '../../compiler/plans/fragments.ts';
import { compileGraphs } from '../../compiler/compile.ts';
import { passesFor, type CompileOptions, type Pass } from '../../compiler/pipeline.ts';
import { backward, CONVOLUTIONS } from '../helpers/convolutions.ts';
import { familiesOf, tell } from '../helpers/executed.ts';
import { LAYOUTS, productGraph } from '../helpers/fragment-products.ts';
import { TestGpu } from '../helpers/gpu.ts';
import { relativeError } from '../helpers/relative-error.ts';
import { fragmentsAnywhere, smallFragments } from '../helpers/small-fragments.ts';
import { KERNEL } from '../helpers/tolerances.ts';

/** A software GPU compiles a kernel of fragments for seconds. */
vi.setConfig({ testTimeout: 600_000 });

let gpu: TestGpu;
let device: DeviceSpec;
beforeAll(async () => {
  gpu = await TestGpu.open();
  // The plans of hardware, whatever it is.
  device = { ...gpu.spec, kind: 'hardware' };
});
afterAll(() => gpu?.close());

const hasUnits = () => fragmentShapes(device, 'f16').length > 0;

interface Judged {
  /** Values are whole multiples of it. */
  readonly unit?: number;
  /** Of the error; 0 is to the bit. */
  readonly bound?: number;
  readonly passes?: readonly Pass[];
  /** By plans from outside (helpers/small-fragments.ts) instead of the device's. */
  readonly plan?: CompileOptions['plan'];
}

async function runAll(graph: Graph, { unit = 1, bound = 0, passes = [], plan }: Judged = {}) {
  const random = new Random(3);
  const drawn = graph.inputs.map(({ attrs, type }) => {
    const count = type.shape.reduce((a, b) => a * b, 1);
    return [String(attrs.name), Float64Array.from({ length: count }, () => random.int(-8, 8) * unit)] as const;
  });
  const bindings = Object.fromEntries(drawn);
  const artefact = compileGraphs([graph], { device, passes, plan, verify: true });
  const families = familiesOf(artefact);
  const { outputs } = await gpu.run(artefact, graph.name, bindings);
  const want = interpret(graph, bindings).outputs;
  tell({ device: device.description!, families, bound }, outputs, want);
  return { families, outputs, want };
}

async function run(graph: Graph, judged?: Judged) {
  const { families, outputs, want } = await runAll(graph, judged);
  return { families, out: outputs.out0, want: want.out0.data };
}

describe('products of f16 on matrix units', () => {
  // The first by the device's own plans.
  it.each(LAYOUTS.map((one, i) => [...one, i ? smallFragments : undefined] as const))(
    '%s, to the bit',
    async (_, left, right, plan) => {
      if (!hasUnits()) return;
      for (const [m, n, k] of [
        [64, 64, 64],
        [65, 70, 37],
        [257, 132, 100],
      ]) {
        const { families, out, want } = await run(productGraph({ m, n, k, batch: [2] }, 'f16', [left, right]), {
          plan,
        });
        expect(families).toEqual(['product-fragments']);
        expect([...out]).toEqual([...want]);
      }
    },
  );

  /** Of k, from one number to another: all from 1 to 64. */
  const TILES = process.env.DITC_SLOW ? range(8).map((i) => [8 * i + 1, 8 * i + 8] as const) : [[3, 3] as const];
  it.each(TILES)('over %i to %i tiles of k, to the bit', async (least, most) => {
    if (!hasUnits()) return;
    for (let tiles = least; tiles <= most; tiles++) {
      const graph = productGraph({ m: 64, n: 64, k: 32 * tiles }, 'f16');
      const { families, out, want } = await run(graph, { plan: smallFragments });
      expect(families).toEqual(['product-fragments']);
      expect([...out]).toEqual([...want]);
    }
  });

  it.each(process.env.DITC_SLOW ? [17, 33, 257, 1025] : [33])('over %i rows, to the bit', async (m) => {
    if (!hasUnits()) return;
    const { families, out, want } = await run(productGraph({ m, n: 64, k: 64 }, 'f16'), { plan: fragmentsAnywhere });
    expect(families).toEqual(['product-fragments']);
    expect([...out]).toEqual([...want]);
  });

  it('with what follows them', async () => {
    if (!hasUnits()) return;
    const graph = productGraph({ m: 65, n: 70, k: 33 }, 'f16', [false, true], (f, product, input) => {
      const bent = f.op('gelu', [f.add(product, input('bias', [70]))]);
      return f.add(f.mul(bent, input('gate', [70])), input('residual', [65, 70]));
    });
    const { families, out, want } = await run(graph, { unit: 1 / 8, bound: KERNEL });
    expect(families).toEqual(['product-fragments']);
    expect(relativeError(out, want)).toBeLessThan(KERNEL);
  });
});

describe('convolutions of f16 on matrix units', () => {
  it.each(process.env.DITC_SLOW ? CONVOLUTIONS : CONVOLUTIONS.slice(0, 1))(
    '$name and its gradients, to the bit',
    async (options) => {
      if (!hasUnits()) return;
      const { families, outputs, want } = await runAll(backward(options), {
        passes: passesFor('f16'),
        plan: smallFragments,
      });
      expect(families).toContain('product-fragments');
      for (const [name, { data }] of Object.entries(want)) expect([...outputs[name]], name).toEqual([...data]);
    },
  );
});
