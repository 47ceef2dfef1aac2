/** Attention and its derivatives by blocks in registers, as GPUs get them: every size, run as kernel IR against the interpreter. */
import { describe, expect, it } from 'vitest';
import type { DeviceSpec } from '../../../compiler/device.ts';
import { interpret } from '../../../compiler/ops/index.ts';
import { schedule } from '../../../compiler/pipeline.ts';
import { lower } from '../../../compiler/plans/lower.ts';
import rdna3 from '../../../compiler/specs/rdna3.json' with { type: 'json' };
import { attentionOf, drawnFor, type AttentionCase } from '../../helpers/attention-graph.ts';
import { HARDWARE } from '../../helpers/devices.ts';
import { relativeError } from '../../helpers/relative-error.ts';
import { runSchedule } from '../../helpers/run-schedule.ts';
import { KERNEL } from '../../helpers/tolerances.ts';

/** Whose workgroups reduce rows by subgroups, and whose in workgroup memory. */
const DEVICES: readonly DeviceSpec[] = [rdna3 as unknown as DeviceSpec, HARDWARE];

const CASES: readonly AttentionCase[] = [
  { m: 17, n: 33, d: 40 },
  { batch: [2, 2], shared: [2, 1], m: 33, n: 17, d: 6, e: 10 },
  { m: 70, n: 1, d: 8 },
  { m: 16, n: 65, d: 72 },
  { batch: [1], m: 33, n: 40, d: 12, cap: 1.5, masked: true, biased: true },
  { batch: [1], m: 33, n: 66, d: 9, e: 13, masked: true },
  { batch: [1], m: 20, n: 33, d: 128 },
  ...(process.env.DITC_SLOW
    ? [
        { batch: [1], m: 257, n: 257, d: 80 },
        { batch: [1], m: 257, n: 130, d: 64, cap: -2, biased: true },
        { batch: [1], m: 1025, n: 1025, d: 8 },
        { batch: [1], m: 33, n: 40, d: 512 },
      ]
    : []),
];

const nameOf = (one: AttentionCase) => JSON.stringify(one).replaceAll('"', '');

describe.each(DEVICES)('on $name', (device) => {
  it.each(CASES.map((one) => [nameOf(one), one] as const))('%s is what the interpreter says', (_, one) => {
    const graph = attentionOf(one, true);
    const bindings = drawnFor(graph);
    const { outputs, scheduled } = runSchedule(graph, bindings, { device, verify: true });
    const families = scheduled.regions.map(({ plan }) => plan.family);
    expect(families).toContain('attention-tiled');
    expect(families).toContain('attention-gradient-tiled');
    const want = interpret(graph, bindings).outputs;
    const largest = Math.max(...Object.values(want).map(({ data }) => Math.max(...data.map(Math.abs))));
    for (const { name } of graph.outputs) {
      const scale = Math.max(...want[name].data.map(Math.abs));
      // With one key all of its weight is there, and nothing to derive.
      if (scale < 1e-12 * largest) expect(Math.max(...outputs[name].map(Math.abs)), name).toBeLessThan(1e-12 * largest);
      else expect(relativeError(outputs[name], want[name].data), name).toBeLessThan(KERNEL);
    }
  });

  it('queries whose scores are all −∞ see all keys alike; one that is NaN spoils its own row', () => {
    const graph = attentionOf({ batch: [1], m: 17, n: 13, d: 8 }, false);
    const bindings = drawnFor(graph);
    bindings.q.fill(0, 0, 8)[0] = -Infinity;
    for (let key = 0; key < 13; key++) bindings.k[8 * key] = 1 + key;
    bindings.q[8] = NaN;
    const { outputs } = runSchedule(graph, bindings, { device, verify: true });
    const mean = (c: number) =>
      Array.from({ length: 13 }, (_, key) => bindings.v[8 * key + c]).reduce((a, b) => a + b) / 13;
    for (let c = 0; c < 8; c++) expect(outputs.result[c]).toBeCloseTo(mean(c), 10);
    expect([...outputs.result.subarray(8, 16)].every(Number.isNaN)).toBe(true);
    expect([...outputs.result.subarray(16)].every(Number.isFinite)).toBe(true);
  });

  it('the rows’ statistics alone', () => {
    const graph = attentionOf({ m: 40, n: 70, d: 12, biased: true }, true);
    const stats = graph.outputs[1].node.inputs.at(-1)!;
    const only = { ...graph, outputs: [{ name: 'stats', node: stats }] };
    const bindings = drawnFor(graph);
    const { outputs, scheduled } = runSchedule(only, bindings, { device, verify: true });
    expect(scheduled.regions.map(({ plan }) => plan.family)).toEqual(['attention-tiled']);
    expect(relativeError(outputs.stats, interpret(only, bindings).outputs.stats.data)).toBeLessThan(KERNEL);
  });
});

it('heads of every width get blocks that fit, on the least of GPUs too', () => {
  for (const device of DEVICES)
    for (const d of [40, 64, 72, 80, 96, 128, 256, 512]) {
      const { regions } = schedule(attentionOf({ batch: [2], m: 256, n: 256, d }, true), { device, verify: true });
      const families = regions.map(({ plan }) => plan.family);
      expect(families, `${device.name}, ${d}`).toContain('attention-tiled');
      expect(families, `${device.name}, ${d}`).toContain('attention-gradient-tiled');
      for (const { region, plan } of regions) {
        const bytes = lower(region, plan, device).shared.reduce((sum, { elements }) => sum + 16 * elements, 0);
        if (plan.family.endsWith('-tiled'))
          expect(bytes).toBeLessThanOrEqual(device.limits.maxComputeWorkgroupStorageSize);
      }
    }
});
