/** Norms before products on GPUs: in a kernel of their own where each column of tiles would read the rows again; the reason is given. */
import { describe, expect, it } from 'vitest';
import { PORTABLE, type DeviceSpec } from '../../../compiler/device.ts';
import { interpret, Random } from '../../../compiler/ops/index.ts';
import { schedule } from '../../../compiler/pipeline.ts';
import type { Plan } from '../../../compiler/plans/registry.ts';
import { graphOf } from '../../helpers/build-graph.ts';
import { HARDWARE } from '../../helpers/devices.ts';
import { runSchedule } from '../../helpers/run-schedule.ts';
import { drawValues } from '../../helpers/samples.ts';
import { relativeError } from '../../helpers/relative-error.ts';

const tilesOf = (across: number): Plan => {
  return { family: 'product-tiled-vec4', down: 4, across, rows: 8, columns: 8, depth: 8 };
};

/** x̂·(1 + scale) + shift, then a linear layer. */
const modulated = (m: number, n: number, k: number) =>
  graphOf((f, input) => {
    const x = input('x', [m, k]);
    const centred = f.sub(x, f.mean(x, [1]));
    const normed = f.mul(centred, f.rsqrt(f.add(f.mean(f.square(centred), [1]), 1e-6)));
    const rows = f.add(f.mul(normed, f.add(input('scale', [1, k]), 1)), input('shift', [1, k]));
    return [f.matmul(rows, f.transpose(input('w', [n, k])))];
  });

const kernelsOf = (m: number, n: number, k: number, device: DeviceSpec) => {
  const { regions, remarks } = schedule(modulated(m, n, k), { device, passes: [] });
  const why = remarks.list.filter(({ by }) => by === 'fuse-row-statistics').map((remark) => remark.why);
  return { families: regions.map(({ plan }) => plan.family), why };
};

it('a wide product reads normalised rows on a GPU, and normalises them itself elsewhere', () => {
  const { families, why } = kernelsOf(256, 4608, 1152, HARDWARE);
  expect(families).toEqual(['row', 'product-tiled-vec4']);
  expect(why.join()).toMatch(/has 36 columns of tiles and would load [\d,]+ elements besides its operands/);
  expect(kernelsOf(256, 4608, 1152, PORTABLE).families).toEqual(['product-tiled']);
});

it('a product of one column of tiles normalises its rows itself', () => {
  expect(kernelsOf(256, 64, 96, HARDWARE).families).toEqual(['product-tiled-vec4']);
});

describe('a plan from outside decides with its tiles', () => {
  const tiles = tilesOf(16);
  const scheduleBy = (m: number, n: number, k: number, plan?: Plan) =>
    schedule(modulated(m, n, k), { device: HARDWARE, passes: [], plan: ({ anchor }) => anchor && plan, verify: true });
  const familiesBy = (...given: Parameters<typeof scheduleBy>) =>
    scheduleBy(...given).regions.map(({ plan }) => plan.family);

  it('how often rows would be read again', () => {
    expect(familiesBy(256, 256, 256)).toEqual(['row', 'product-tiled-vec4']);
    const { regions } = scheduleBy(256, 256, 256, tiles);
    expect(regions.map(({ plan }) => plan)).toEqual([tiles]);
  });

  it('whether its kernel can compute the statistics', () => {
    expect(familiesBy(256, 128, 256)).toEqual(['product-tiled-vec4']);
    const { regions, remarks } = scheduleBy(256, 128, 256, tilesOf(4));
    expect(regions.map(({ plan }) => plan.family)).toEqual(['row', 'product-tiled-vec4']);
    expect(remarks.list.map(({ why }) => why).join()).toContain('16 invocations do not share 32 rows evenly');
  });
});

it.each<[number, number, number, number | undefined]>([
  [70, 132, 36, undefined],
  [65, 64, 20, undefined],
  [65, 64, 20, 16],
  [65, 64, 20, 4],
])('all are right: %d×%d of %d, %s invocations side by side', (m, n, k, across) => {
  const graph = modulated(m, n, k);
  const random = new Random(3);
  const bindings = Object.fromEntries(
    graph.inputs.map((node) => [String(node.attrs.name), drawValues(random, node.type)]),
  );
  const { outputs } = runSchedule(graph, bindings, {
    ...{ device: HARDWARE, passes: [], verify: true },
    plan: ({ anchor }) => (anchor && across ? tilesOf(across) : undefined),
  });
  const want = interpret(graph, bindings).outputs;
  for (const { name } of graph.outputs) expect(relativeError(outputs[name], want[name].data)).toBeLessThan(1e-5);
});
