/** Products of operands that are joined along their depth: one kernel in every plan, which walks over part after part. */
import { describe, expect, it } from 'vitest';
import { parseGraph, type Graph } from '../../../compiler/ir/index.ts';
import { interpret, opTable, Random } from '../../../compiler/ops/index.ts';
import { joinProducts } from '../../../compiler/rewrite/recognise.ts';
import { depthParts } from '../../../compiler/plans/depth-parts.ts';
import { PORTABLE, type DeviceSpec } from '../../../compiler/device.ts';
import { relativeError } from '../../helpers/relative-error.ts';
import { runSchedule } from '../../helpers/run-schedule.ts';
import { drawValues } from '../../helpers/samples.ts';

const SUBGROUPS: DeviceSpec = {
  ...PORTABLE,
  name: 'subgroups',
  kind: 'software',
  features: ['subgroups'],
  subgroups: { min: 8, max: 8 },
};

interface Sizes {
  readonly batch?: number;
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly l: number;
}

/** A·X + p + B·Y + q, as two layers of a residual block have it. */
const sum = ({ batch = 2, m, n, k, l }: Sizes, returned = 'sum = %sum'): Graph =>
  parseGraph(
    `graph @g(%a: f32[${m},${k}], %b: f32[${m},${l}], %x: f32[${batch},${k},${n}], %y: f32[${batch},${l},${n}], %p: f32[${m},1], %q: f32[${m},1]) {
      %ax = matmul %a, %x : f32[${batch},${m},${n}]
      %left = add %ax, %p : f32[${batch},${m},${n}]
      %by = matmul %b, %y : f32[${batch},${m},${n}]
      %right = add %by, %q : f32[${batch},${m},${n}]
      %sum = add %left, %right : f32[${batch},${m},${n}]
      return ${returned}
    }`,
    opTable,
  );

const PASSES = [{ name: 'join-products', doc: '', run: joinProducts }];

function run(graph: Graph, device: DeviceSpec) {
  const random = new Random(1);
  const drawn = graph.inputs.map((node) => [String(node.attrs.name), drawValues(random, node.type)] as const);
  const bindings = Object.fromEntries(drawn);
  const want = interpret(graph, bindings);
  const ran = runSchedule(graph, bindings, { device, passes: PASSES, verify: true });
  for (const { name } of graph.outputs)
    expect(relativeError(ran.outputs[name], want.outputs[name].data), name).toBeLessThan(1e-5);
  return ran.scheduled.regions;
}

describe.each<[string, DeviceSpec, object, Sizes]>([
  ['tiles', PORTABLE, { family: 'product-tiled' }, { m: 44, n: 70, k: 37, l: 9 }],
  ['an invocation per element', PORTABLE, { family: 'product-simple' }, { m: 9, n: 5, k: 6, l: 4 }],
  ['invocations along k', PORTABLE, { family: 'product-dot' }, { m: 3, n: 21, k: 37, l: 5 }],
  ['subgroups', SUBGROUPS, { family: 'product-subgroup', left: 'one', right: 'one' }, { m: 27, n: 45, k: 19, l: 5 }],
  ['subgroups, by fours', SUBGROUPS, { left: 'k4', right: 'n4' }, { batch: 1, m: 128, n: 128, k: 384, l: 128 }],
  [
    'subgroups, parts that are not of fours',
    SUBGROUPS,
    { left: 'one', right: 'n4' },
    { batch: 1, m: 128, n: 128, k: 385, l: 127 },
  ],
])('by %s', (_, device, plan, sizes) => {
  it('sums of products are one product', () => {
    const regions = run(sum(sizes), device);
    expect(regions.map((region) => region.plan)).toMatchObject([plan]);
    const [{ region }] = regions;
    const parts = depthParts(region.anchor!, (node) => region.reads.includes(node));
    expect(parts.map(({ from, size }) => [from, size])).toEqual([
      [0, sizes.k],
      [sizes.k, sizes.l],
    ]);
  });
});

it('a product that somebody else reads stays apart', () => {
  expect(run(sum({ m: 20, n: 24, k: 16, l: 8 }, 'ax = %ax, sum = %sum'), PORTABLE).length).toBe(2);
});

it('products stay apart that would read more buffers than a kernel binds', () => {
  const limits = { ...PORTABLE.limits, maxStorageBuffersPerShaderStage: 6 };
  const regions = run(sum({ m: 20, n: 24, k: 16, l: 8 }), { ...PORTABLE, limits });
  expect(regions.length).toBe(2);
});
