/** Kernels with several results, of random graphs: run in memory as planned, they give what the interpreter does. */
import { setImmediate } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { interpret } from '../../../compiler/ops/index.ts';
import { schedule } from '../../../compiler/pipeline.ts';
import { PORTABLE, type DeviceSpec } from '../../../compiler/device.ts';
import { bySubgroups } from '../../helpers/devices.ts';
import { resultsGraph } from '../../helpers/results-graph.ts';
import { runSchedule } from '../../helpers/run-schedule.ts';

/** DITC_SLOW: thousands of graphs. */
const SEEDS = Array.from({ length: process.env.DITC_SLOW ? 3000 : 40 }, (_, seed) => seed);

describe('random graphs, run in memory as planned', () => {
  const expectRight = (seed: number, device: DeviceSpec) => {
    const { graph, bindings } = resultsGraph(seed);
    const want = interpret(graph, bindings);
    const { dispatches, outputs, updates } = runSchedule(graph, bindings, { device, verify: true });
    for (const { kernel, resources } of dispatches)
      expect(resources.length, `buffers of ${kernel}`).toBeLessThanOrEqual(
        device.limits.maxStorageBuffersPerShaderStage,
      );
    for (const [name, { data }] of Object.entries(want.outputs)) expectClose(outputs[name], data, name);
    for (const [name, { data }] of Object.entries(want.updates)) expectClose(updates[name], data, name);
  };
  /** Both compute in float64. */
  const expectClose = (got: Float64Array, want: Float64Array, name: string) => {
    const off = Math.hypot(...want.map((x, i) => x - got[i]));
    expect(off, name).toBeLessThanOrEqual(1e-9 * (Math.hypot(...want) || 1));
  };

  it.each(SEEDS)('%i', async (seed) => {
    await setImmediate();
    expectRight(seed, seed % 2 ? bySubgroups(8) : PORTABLE);
  });

  it('have kernels with several results, and such that write over what they read', () => {
    const all = SEEDS.slice(0, 20).flatMap((seed) => schedule(resultsGraph(seed).graph, { device: PORTABLE }).regions);
    expect(all.filter(({ region }) => region.results.length > 1).length).toBeGreaterThan(20);
    expect(all.filter(({ region }) => region.results.length > 1 && region.replaces.size > 1).length).toBeGreaterThan(5);
  });
});
