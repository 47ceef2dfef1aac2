/** Attention over 4096 tokens within a 128 MiB binding: 8 heads' scores would be 512 MiB. Rows checked one by one. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { GraphBuilder, type Graph } from '../../compiler/ir/index.ts';
import { Functional, opTable, Random } from '../../compiler/ops/index.ts';
import { compileGraphs } from '../../compiler/compile.ts';
import { TestGpu } from '../helpers/gpu.ts';
import { relativeError } from '../helpers/relative-error.ts';

const [HEADS, TOKENS, WIDTH] = [8, 4096, 16];
const MiB = 2 ** 20;
const ROWS = [0, 1, 777, 2048, 4095];

/** softmax(q·kᵀ/√d)·v as a user writes it. */
function attentionGraph(): Graph {
  const builder = new GraphBuilder(opTable);
  const f = new Functional(builder);
  const [q, k, v] = ['q', 'k', 'v'].map((name) =>
    builder.apply('input', [], { name, dtype: 'f32', shape: [HEADS, TOKENS, WIDTH] }),
  );
  const weights = f.op('softmax', [f.mul(f.matmul(q, f.transpose(k)), WIDTH ** -0.5)]);
  return { name: 'attend', inputs: [q, k, v], outputs: [{ name: 'out', node: f.matmul(weights, v) }], updates: [] };
}

/** One row of one head in float64. */
function row(q: Float32Array, k: Float32Array, v: Float32Array, head: number, at: number): Float64Array {
  const base = head * TOKENS * WIDTH;
  const scores = Float64Array.from({ length: TOKENS }, (_, j) => {
    let sum = 0;
    for (let c = 0; c < WIDTH; c++) sum += q[base + at * WIDTH + c] * k[base + j * WIDTH + c];
    return sum * WIDTH ** -0.5;
  });
  const largest = scores.reduce((a, b) => Math.max(a, b));
  const weights = scores.map((score) => Math.exp(score - largest));
  const total = weights.reduce((a, b) => a + b);
  return Float64Array.from({ length: WIDTH }, (_, c) =>
    weights.reduce((sum, weight, j) => sum + (weight / total) * v[base + j * WIDTH + c], 0),
  );
}

let gpu: TestGpu;
beforeAll(async () => {
  gpu = await TestGpu.open();
});
afterAll(() => gpu.close());

it('attends over 4096 tokens without storing the scores', async () => {
  const device = { ...gpu.spec, limits: { ...gpu.spec.limits, maxStorageBufferBindingSize: 128 * MiB } };
  const artefact = compileGraphs([attentionGraph()], { device });
  const { dispatches, memory } = artefact.manifest.entries.attend;
  expect(dispatches).toHaveLength(1);
  expect(memory.activationPeakBytes).toBe(HEADS * TOKENS * WIDTH * 4);
  const bindings = Object.values(artefact.manifest.kernels).flatMap((kernel) => kernel.bindings);
  for (const { bytes } of bindings) expect(bytes).toBeLessThanOrEqual(128 * MiB);

  const random = new Random(3);
  const draw = () => Float32Array.from({ length: HEADS * TOKENS * WIDTH }, () => random.uniform(-2, 2));
  const [q, k, v] = [draw(), draw(), draw()];
  const { outputs } = await gpu.run(artefact, 'attend', { q, k, v });
  for (const head of [0, 7]) {
    for (const at of ROWS) {
      const from = (head * TOKENS + at) * WIDTH;
      const got = outputs.out.subarray(from, from + WIDTH);
      expect(relativeError(got, row(q, k, v, head, at)), `head ${head}, row ${at}`).toBeLessThan(1e-5);
    }
  }
});
