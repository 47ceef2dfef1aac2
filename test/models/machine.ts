/** Small models of every kind, and their entries run in this process as a device would run them: what test/models/machine*.test.ts share. */
import { expect } from 'vitest';
import { resolveGradients } from '../../compiler/autodiff/index.ts';
import { traceEntry, type Model } from '../../compiler/dsl/model.ts';
import { nodesOf, type Graph } from '../../compiler/ir/index.ts';
import { interpret } from '../../compiler/ops/index.ts';
import { dit, type DiTConfig } from '../../models/dit.ts';
import { autoencoderKL } from '../../models/vae.ts';
import { relativeError } from '../helpers/relative-error.ts';
import { runSchedule, type RunOptions } from '../helpers/run-schedule.ts';
import { KERNEL } from '../helpers/tolerances.ts';
import { drawBindings } from './zoo.ts';
import { autoencoder } from './zoo/autoencoder.ts';
import { clip } from './zoo/clip.ts';
import { convnet } from './zoo/convnet.ts';
import { gmlp } from './zoo/gmlp.ts';
import { gpt } from './zoo/gpt.ts';
import { linearAttention } from './zoo/linear-attention.ts';
import { llama } from './zoo/llama.ts';
import { mixer } from './zoo/mixer.ts';
import { mmdit } from './zoo/mmdit.ts';
import { pixart } from './zoo/pixart.ts';
import { seq2seq } from './zoo/seq2seq.ts';
import { swin } from './zoo/swin.ts';
import { unet } from './zoo/unet.ts';
import { vit } from './zoo/vit.ts';

const SMALL: Partial<DiTConfig> = {
  ...{ inputSize: 6, patchSize: 2, inChannels: 3, hiddenSize: 24, depth: 2, numHeads: 3, mlpRatio: 2 },
  numClasses: 5,
};

export const MODELS: Readonly<Record<string, Model>> = {
  ...{ autoencoder: autoencoder(), clip: clip(), convnet: convnet(), gmlp: gmlp(), gpt: gpt() },
  ...{ 'linear attention': linearAttention(), llama: llama(), mixer: mixer(), mmdit: mmdit(), pixart: pixart() },
  ...{ seq2seq: seq2seq(), swin: swin(), unet: unet(), vit: vit() },
  'dit, adaLN-Zero': dit(SMALL),
  'dit, adaLN': dit({ ...SMALL, block: 'adaLN' }),
  'dit, cross-attention': dit({ ...SMALL, block: 'cross-attention' }),
  'dit, in context': dit({ ...SMALL, block: 'in-context' }),
  vae: autoencoderKL({
    ...{ inChannels: 3, latentChannels: 2, blockOutChannels: [6, 10], layersPerBlock: 1 },
    ...{ normNumGroups: 2, sampleSize: 6 },
  }),
};

/** What entries need that the defaults do not give: not every sampler leads from a picture to noise. */
const OWN: Readonly<Record<string, object>> = { invertStart: { sampler: 'ddim' }, invertStep: { sampler: 'ddim' } };

const statesOf = (graph: Graph) => nodesOf(graph).filter(({ op }) => op === 'state');

/** Holds what an entry's kernels give against the interpreter, and gives the families that they are of. */
export function expectEntry(model: Model, entry: string, options: RunOptions): string[] {
  const { graph } = traceEntry(model, entry, { batch: 1, steps: 4, ...OWN[entry] });
  const bindings = drawBindings(graph);
  // Squares and scales are among the state.
  for (const { attrs } of statesOf(graph)) bindings[String(attrs.name)] = bindings[String(attrs.name)].map(Math.abs);
  const want = interpret(resolveGradients(graph), bindings);
  const { outputs, updates, scheduled } = runSchedule(graph, bindings, { verify: true, ...options });
  for (const [name, { data }] of Object.entries(want.outputs))
    expect(relativeError(outputs[name], data), name).toBeLessThan(KERNEL);
  for (const [name, { data }] of Object.entries(want.updates))
    expect(relativeError(updates[name], data), name).toBeLessThan(KERNEL);
  return scheduled.regions.map(({ plan }) => plan.family);
}
