/** Gradients of a model in all that it learns: what tests of backward passes share. */
import { expect } from 'vitest';
import { gradients } from '../../compiler/autodiff/index.ts';
import { traceEntry, type Model } from '../../compiler/dsl/model.ts';
import { ownerOf, sizeOf, type Graph, type Node } from '../../compiler/ir/index.ts';
import { Functional, type Dense } from '../../compiler/ops/index.ts';
import { autoencoderKL, decode, encode, posterior, samplePosterior, type AutoencoderConfig } from '../../models/vae.ts';
import { relativeError } from '../helpers/relative-error.ts';

/** Share of the whole gradient below which float64 leaves nothing but rounding. */
const ZERO = 1e-12;

/** A picture to moments, a sample of them, and back to a picture. */
export function roundTrip(given: Partial<AutoencoderConfig>): Model {
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

export interface Backward {
  readonly graph: Graph;
  readonly loss: Node;
  readonly params: readonly Node[];
  readonly slopes: readonly Node[];
}

/** loss = mean of the first output squared, times a scale, and its gradient in every parameter. */
export function backward(model: Model, { batch = 2, scale = 1 } = {}): Backward {
  const { graph, params: declared } = traceEntry(model, 'forward', { batch });
  const y = graph.outputs[0].node;
  const f = new Functional(ownerOf(y)!);
  const axes = y.type.shape.map((_, i) => i);
  const loss = f.reshape(f.mul(f.sum(f.square(y), axes), scale / sizeOf(y.type.shape)), []);
  const params = declared.map(({ node }) => node);
  const slopes = gradients(f, loss, params);
  const outputs = [loss, ...slopes].map((node, i) => ({ name: `out${i}`, node }));
  return { graph: { ...graph, name: 'backward', outputs }, loss, params, slopes };
}

type Slopes = Readonly<Record<string, Dense>>;

/** The loss and its gradients without those that are nothing but rounding: a bias of the keys adds the same to all scores of a query, which softmax does not see. */
export function slopesThatAre(graph: Graph, want: Slopes): Slopes {
  const whole = wholeOf(graph, want);
  const kept = graph.outputs.filter(({ name }) => norm(want[name].data) >= ZERO * whole);
  return Object.fromEntries(kept.map(({ name }) => [name, want[name]]));
}

/** Holds the loss and its gradients against those of the interpreter; `nothing` is how much of the whole may be left of a gradient that is 0. */
export function expectSlopes(
  graph: Graph,
  got: Readonly<Record<string, ArrayLike<number>>>,
  want: Slopes,
  bound: number,
  nothing = bound,
): void {
  const kept = slopesThatAre(graph, want);
  for (const { name } of graph.outputs)
    if (kept[name]) expect(relativeError(got[name], want[name].data), name).toBeLessThan(bound);
    else expect(norm(got[name]) / wholeOf(graph, want), name).toBeLessThan(nothing);
}

/** Of all gradients, without the loss. */
const wholeOf = ({ outputs }: Graph, want: Slopes): number =>
  Math.hypot(...outputs.slice(1).map(({ name }) => norm(want[name].data)));

function norm(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i] ** 2;
  return Math.sqrt(sum);
}
