/** State that entries update, in place or through copies: random updates that read each other, against the interpreter. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { interpret, Random, type Bindings } from '../../compiler/ops/index.ts';
import { relativeError, TestGpu } from '../helpers/gpu.ts';
import { drawValues } from '../helpers/samples.ts';
import { NAMES, SHAPE, updatesGraph } from '../helpers/updates-graph.ts';

describe('updates of state', () => {
  let gpu: TestGpu;
  beforeAll(async () => {
    gpu = await TestGpu.open();
  });
  afterAll(() => gpu.close());

  it.each(Array.from({ length: 40 }, (_, seed) => seed))('random %i', async (seed) => {
    const graph = updatesGraph(seed);
    const random = new Random(seed + 1000);
    const bindings: Bindings = Object.fromEntries(
      NAMES.map((name) => [name, drawValues(random, { dtype: 'f32', shape: SHAPE })]),
    );
    const expected = interpret(graph, bindings);
    const got = await gpu.runGraph(graph, bindings);
    expect(relativeError(got.outputs.out, expected.outputs.out.data)).toBeLessThan(1e-5);
    expect(Object.keys(got.updates).sort()).toEqual(Object.keys(expected.updates).sort());
    for (const [name, { data }] of Object.entries(expected.updates))
      expect(relativeError(got.updates[name], data), name).toBeLessThan(1e-5);
  });
});
