/** Attention on matrix units of every shape, run as kernel IR against the interpreter, and as WGSL by Dawn's front end. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { DeviceSpec } from '../../../compiler/device.ts';
import { interpret } from '../../../compiler/ops/index.ts';
import { schedule } from '../../../compiler/pipeline.ts';
import { lower } from '../../../compiler/plans/lower.ts';
import { featuresOf, printKernel } from '../../../compiler/target/wgsl.ts';
import { attentionOf, drawnFor, type AttentionCase } from '../../helpers/attention-graph.ts';
import { relativeError } from '../../helpers/relative-error.ts';
import { runSchedule } from '../../helpers/run-schedule.ts';
import { shaderCheck } from '../../helpers/shader-check.ts';
import { HALF_PASS, KERNEL } from '../../helpers/tolerances.ts';

const specOf = (name: string): DeviceSpec =>
  JSON.parse(readFileSync(new URL(`../../../compiler/specs/${name}.json`, import.meta.url), 'utf8'));

const FAMILIES = ['attention-fragments', 'attention-gradient-fragments'];

const CASES: readonly AttentionCase[] = [
  { batch: [1], m: 17, n: 33, d: 40 },
  { batch: [2, 2], shared: [2, 1], m: 33, n: 17, d: 6, e: 10 },
  { batch: [1], m: 16, n: 1, d: 8 },
  { batch: [1], m: 20, n: 70, d: 72 },
  { batch: [1], m: 33, n: 40, d: 12, cap: 1.5, masked: true, biased: true },
  ...(process.env.DITC_SLOW
    ? [
        { batch: [1], m: 257, n: 257, d: 80 },
        { batch: [1], m: 33, n: 65, d: 128 },
        { batch: [1], m: 1025, n: 1025, d: 16 },
      ]
    : []),
];

const nameOf = (one: AttentionCase) => JSON.stringify(one).replaceAll('"', '');

describe.each([
  ['rdna3', 'f16'],
  ['xe2', 'f16'],
  ['apple-m', 'f16'],
  ['apple-m', 'f32'],
] as const)('on %s, of %s', (name, dtype) => {
  const device = specOf(name);

  it.each(CASES.map((one) => [nameOf(one), one] as const))('%s is what the interpreter says', (_, one) => {
    const graph = attentionOf({ ...one, dtype }, true);
    const bindings = drawnFor(graph);
    const { outputs, scheduled } = runSchedule(graph, bindings, { device, verify: true });
    const families = scheduled.regions.map(({ plan }) => plan.family);
    for (const family of FAMILIES) expect(families).toContain(family);
    const want = interpret(graph, bindings).outputs;
    const largest = Math.max(...Object.values(want).map(({ data }) => Math.max(...data.map(Math.abs))));
    for (const { name: output } of graph.outputs) {
      const { data } = want[output];
      // With one key all of its weight is there, and nothing to derive.
      const isNothing = Math.max(...data.map(Math.abs)) < 1e-12 * largest;
      const error = isNothing
        ? Math.max(...outputs[output].map(Math.abs)) / largest
        : relativeError(outputs[output], data);
      expect(error, output).toBeLessThan(dtype === 'f16' ? HALF_PASS : KERNEL);
    }
  });

  it('is WGSL that Dawn takes', async () => {
    const graph = attentionOf({ batch: [2], m: 256, n: 256, d: 72, dtype }, true);
    const { regions } = schedule(graph, { device, verify: true });
    for (const family of FAMILIES) {
      const { region, plan } = regions.find((one) => one.plan.family === family)!;
      const kernel = lower(region, plan, device);
      const check = await shaderCheck(featuresOf(kernel));
      expect(await check(printKernel(kernel, []))).toEqual([]);
    }
  });
});
