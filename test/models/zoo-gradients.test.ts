/** Backward passes of models that the compiler was not written for: on the GPU against the interpreter's, which is checked by finite differences. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { gradients } from '../../compiler/autodiff/index.ts';
import { traceEntry, type Model } from '../../compiler/dsl/model.ts';
import { ownerOf, sizeOf, type Graph, type Node } from '../../compiler/ir/index.ts';
import { Functional, interpret } from '../../compiler/ops/index.ts';
import { evaluate } from '../helpers/gradient-check.ts';
import { TestGpu } from '../helpers/gpu.ts';
import { relativeError } from '../helpers/relative-error.ts';
import { drawBindings } from './zoo.ts';
import { autoencoderKL, decode, encode, posterior, samplePosterior, type AutoencoderConfig } from '../../models/vae.ts';
import { gpt } from './zoo/gpt.ts';
import { mixture } from './zoo/mixture.ts';
import { parallel } from './zoo/parallel.ts';
import { swin } from './zoo/swin.ts';
import { unet } from './zoo/unet.ts';
import { writtenOut } from './zoo/written-out.ts';
import { PASS } from '../helpers/tolerances.ts';

/** Step and accepted error of a central difference in float64, along one direction. */
const STEP = 1e-4;
const SLOPE_TOLERANCE = 1e-5;
/** Share of the whole gradient below which float64 leaves nothing but rounding. */
const ZERO = 1e-12;

const MODELS: Record<string, Model> = {
  'U-Net block': unet({ height: 5, width: 4, channels: 8, out: 8, time: 6 }),
  'causal language model': gpt({ tokens: 7, d: 24, heads: 2, depth: 1, vocabulary: 11 }),
  autoencoder: roundTrip({
    ...{ inChannels: 2, latentChannels: 2, blockOutChannels: [4, 6], layersPerBlock: 1, normNumGroups: 2 },
    sampleSize: [6, 5],
  }),
  'experts, the two best': mixture({ tokens: 5, d: 12, hidden: 8, experts: 3, depth: 1, top: true }),
  'attention beside the MLP': parallel({ tokens: 5, d: 12, heads: 2, depth: 1 }),
  'softmax and norms written out': writtenOut({ tokens: 5, d: 12, heads: 2, depth: 1, way: 'late' }),
  'shifted windows, learned temperature': swin({ height: 4, width: 6, window: 2, d: 16, heads: 2, cosine: true }),
};

/** A picture to moments, a sample of them, and back to a picture. */
function roundTrip(given: Partial<AutoencoderConfig>): Model {
  const model = autoencoderKL(given);
  const cfg = model.config as AutoencoderConfig;
  return {
    config: cfg,
    entries: {
      forward(e) {
        const [height, width] = cfg.sampleSize as [number, number];
        const image = e.input('image', [e.batch, cfg.inChannels, height, width]);
        const drawn = posterior(encode(e.params, image, cfg));
        return { y: decode(e.params, samplePosterior(drawn, e.input('noise', drawn.mean.shape)), cfg) };
      },
    },
  };
}

interface Backward {
  readonly graph: Graph;
  readonly loss: Node;
  readonly params: readonly Node[];
  readonly slopes: readonly Node[];
}

/** loss = mean of the first output squared, and its gradient in every parameter. */
function backward(model: Model): Backward {
  const { graph, params: declared } = traceEntry(model, 'forward', { batch: 2 });
  const y = graph.outputs[0].node;
  const f = new Functional(ownerOf(y)!);
  const axes = y.type.shape.map((_, i) => i);
  const loss = f.reshape(f.mul(f.sum(f.square(y), axes), 1 / sizeOf(y.type.shape)), []);
  const params = declared.map(({ node }) => node);
  const slopes = gradients(f, loss, params);
  const outputs = [loss, ...slopes].map((node, i) => ({ name: `out${i}`, node }));
  return { graph: { ...graph, name: 'backward', outputs }, loss, params, slopes };
}

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
    const whole = Math.hypot(...graph.outputs.slice(1).map(({ name }) => Math.hypot(...want[name].data)));
    for (const { name } of graph.outputs) {
      // Nothing but rounding: a bias of the keys adds the same to all scores of a query, which softmax does not see.
      const isZero = Math.hypot(...want[name].data) < ZERO * whole;
      if (isZero) expect(Math.hypot(...outputs[name]) / whole, name).toBeLessThan(PASS * STEP);
      else expect(relativeError(outputs[name], want[name].data), name).toBeLessThan(PASS);
    }
  });
});
