/** Backward passes of models that the compiler was not written for: on the GPU against the interpreter's, which is checked by finite differences. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Model } from '../../compiler/dsl/model.ts';
import { interpret } from '../../compiler/ops/index.ts';
import { evaluate } from '../helpers/gradient-check.ts';
import { TestGpu } from '../helpers/gpu.ts';
import { backward, expectSlopes, roundTrip } from './backward.ts';
import { drawBindings } from './zoo.ts';
import { gpt } from './zoo/gpt.ts';
import { mixture } from './zoo/mixture.ts';
import { parallel } from './zoo/parallel.ts';
import { sana } from './zoo/sana.ts';
import { swin } from './zoo/swin.ts';
import { unet } from './zoo/unet.ts';
import { writtenOut } from './zoo/written-out.ts';
import { PASS } from '../helpers/tolerances.ts';

/** Step and accepted error of a central difference in float64, along one direction. */
const STEP = 1e-4;
const SLOPE_TOLERANCE = 1e-5;

const MODELS: Record<string, Model> = {
  'U-Net block': unet({ height: 5, width: 4, channels: 8, out: 8, time: 6 }),
  'causal language model': gpt({ tokens: 7, d: 24, heads: 2, depth: 1, vocabulary: 11 }),
  autoencoder: roundTrip({
    ...{ inChannels: 2, latentChannels: 2, blockOutChannels: [4, 6], layersPerBlock: 1, normNumGroups: 2 },
    sampleSize: [6, 5],
  }),
  'experts, the two best': mixture({ tokens: 5, d: 12, hidden: 8, experts: 3, depth: 1, top: true }),
  'linear attention and a depthwise convolution': sana({ height: 3, width: 4, d: 12, heads: 2, hidden: 8 }),
  'attention beside the MLP': parallel({ tokens: 5, d: 12, heads: 2, depth: 1 }),
  'softmax and norms written out': writtenOut({ tokens: 5, d: 12, heads: 2, depth: 1, way: 'late' }),
  'shifted windows, learned temperature': swin({ height: 4, width: 6, window: 2, d: 16, heads: 2, cosine: true }),
};

describe.each(Object.entries(MODELS))('%s', (_name, model) => {
  let gpu: TestGpu;
  beforeAll(async () => {
    gpu = await TestGpu.open();
  });
  afterAll(() => gpu?.close());

  it('has the slope of finite differences along the gradient', () => {
    const { graph, loss, params, slopes } = backward(model);
    const bindings = drawBindings(graph);
    const gradient = evaluate(slopes, bindings).map(({ data }) => data);
    const norm = Math.hypot(...gradient.map((g) => Math.hypot(...g)));
    const at = (step: number): number => {
      const moved = { ...bindings };
      params.forEach((p, i) => {
        const name = String(p.attrs.name);
        moved[name] = bindings[name].map((x, j) => x + (step / norm) * gradient[i][j]);
      });
      return evaluate([loss], moved)[0].data[0];
    };
    expect(norm).toBeGreaterThan(0);
    expect(Math.abs((at(STEP) - at(-STEP)) / (2 * STEP) / norm - 1)).toBeLessThan(SLOPE_TOLERANCE);
  });

  it('compiles, and equals the interpreter', { timeout: 600_000 }, async () => {
    const { graph } = backward(model);
    const bindings = drawBindings(graph);
    const want = interpret(graph, bindings).outputs;
    const { outputs } = await gpu.runGraph(graph, bindings);
    expectSlopes(graph, outputs, want, PASS, PASS * STEP);
  });
});
