/**
 * Attention and its derivatives on matrix units, on a device that has some: a GPU, or the software one of the lab (`npm run lab --
 * executed test/gpu/attention-fragments.test.ts`, bench/lab/README.md). Elsewhere the tests' machine runs such kernels
 * (compiler/plans/score-fragments.test.ts).
 */
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import type { DeviceSpec } from '../../compiler/device.ts';
import { interpret } from '../../compiler/ops/index.ts';
import { fragmentShapes } from '../../compiler/plans/fragments.ts';
import { compileGraphs } from '../../compiler/compile.ts';
import { attentionOf, drawnFor, type AttentionCase } from '../helpers/attention-graph.ts';
import { familiesOf, tell } from '../helpers/executed.ts';
import { TestGpu } from '../helpers/gpu.ts';
import { relativeError } from '../helpers/relative-error.ts';
import { fragmentsAnywhere } from '../helpers/small-fragments.ts';
import { HALF_PASS } from '../helpers/tolerances.ts';

/** A software GPU compiles such a kernel for a good while. */
vi.setConfig({ testTimeout: 600_000 });

let gpu: TestGpu;
let device: DeviceSpec;
beforeAll(async () => {
  gpu = await TestGpu.open();
  // A software device has as many as a kernel asks for; with subgroups of 8 that is more than GPUs have.
  device = { ...gpu.spec, kind: 'hardware', ...(gpu.spec.kind !== 'hardware' && { registers: 1024 }) };
});
afterAll(() => gpu?.close());

interface Case extends AttentionCase {
  /** By plans of few fragments instead of the device's. */
  readonly small?: boolean;
}

/** By the queries, and by keys and values: of both at once kernels are twice as long. */
const square = (t: number, d: number): readonly Case[] =>
  ([['q'], ['k', 'v']] as const).map((by) => ({ batch: [1], m: t, n: t, d, by, small: true }));

/** Heads of all widths, rows that are a little more than tiles, and all that attention may have besides. */
const CASES: readonly Case[] = [
  { batch: [1], m: 33, n: 70, d: 40, masked: true },
  ...(process.env.DITC_SLOW
    ? [
        ...[17, 33, 257, 1025].flatMap((t) => [40, 72, 80].flatMap((d) => square(t, d))),
        ...[64, 128].flatMap((d) => square(33, d)),
        { batch: [1], m: 65, n: 257, d: 80, cap: 1.5, biased: true, small: true },
        { batch: [2, 2], shared: [2, 1], m: 257, n: 257, d: 72 },
        { batch: [1], m: 1025, n: 1025, d: 64 },
      ]
    : []),
];
const named = CASES.map(
  (one) => [JSON.stringify(one).replaceAll('"', '').replace(',small:true', ', few fragments'), one] as const,
);

async function expectRight({ small, ...one }: Case, families: readonly string[], error: number) {
  const graph = attentionOf(one, true);
  const bindings = drawnFor(graph);
  const artefact = compileGraphs([graph], { device, plan: small ? fragmentsAnywhere : undefined, verify: true });
  const used = familiesOf(artefact);
  for (const family of families) expect(used).toContain(family);
  const { outputs } = await gpu.run(artefact, graph.name, bindings);
  const want = interpret(graph, bindings).outputs;
  tell({ device: device.description!, families: used, bound: error }, outputs, want);
  for (const { name } of graph.outputs) expect(relativeError(outputs[name], want[name].data), name).toBeLessThan(error);
}

it.each(named)('%s on matrix units', async (_, one) => {
  if (!fragmentShapes(device, 'f16').length) return;
  const families = ['attention-fragments', 'attention-gradient-fragments'];
  await expectRight({ ...one, dtype: 'f16' }, families, HALF_PASS);
});
