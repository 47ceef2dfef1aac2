/** Kernels with several results on the GPU: random graphs with much to join, by the adapter's own plans and by portable ones. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { interpret } from '../../compiler/ops/index.ts';
import { PORTABLE, type DeviceSpec } from '../../compiler/device.ts';
import { TestGpu } from '../helpers/gpu.ts';
import { relativeError } from '../helpers/relative-error.ts';
import { resultsGraph } from '../helpers/results-graph.ts';
import { KERNEL } from '../helpers/tolerances.ts';

/** The gate runs a few: `DITC_SLOW=1 npm test` many. The same seeds run in this process (compiler/fusion/merging.test.ts). */
const SEEDS = Array.from({ length: process.env.DITC_SLOW ? 200 : 6 }, (_, seed) => seed);

describe('kernels with several results', () => {
  let gpu: TestGpu;
  beforeAll(async () => {
    gpu = await TestGpu.open();
  });
  afterAll(() => gpu?.close());

  const devices = (): DeviceSpec[] => [
    gpu.spec,
    { ...gpu.spec, name: 'portable limits', subgroups: null, limits: PORTABLE.limits },
  ];

  it.each(SEEDS)('random %i', async (seed) => {
    const { graph, bindings } = resultsGraph(seed);
    const want = interpret(graph, bindings);
    for (const device of devices()) {
      const got = await gpu.runGraph(graph, bindings, device);
      for (const of of ['outputs', 'updates'] as const) {
        expect(Object.keys(got[of]).sort()).toEqual(Object.keys(want[of]).sort());
        for (const [name, { data }] of Object.entries(want[of]))
          expect(relativeError(got[of][name], data), `${name}, ${device.name}`).toBeLessThanOrEqual(KERNEL);
      }
    }
  });
});
