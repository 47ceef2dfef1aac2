/**
 * Whole models in f16 on a device's matrix units, at sizes that fill tiles, against the interpreter: forward, and gradients in all that they
 * learn. Minutes on a software GPU: with DITC_SLOW alone (`npm run lab -- executed test/gpu/matrix-zoo.test.ts`).
 */
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { resolveGradients } from '../../compiler/autodiff/resolve.ts';
import { compileGraphs } from '../../compiler/compile.ts';
import type { DeviceSpec } from '../../compiler/device.ts';
import { traceEntry, type Model } from '../../compiler/dsl/model.ts';
import type { Artefact } from '../../compiler/emit/artefact.ts';
import { interpret } from '../../compiler/ops/index.ts';
import { passesFor } from '../../compiler/pipeline.ts';
import { fragmentShapes } from '../../compiler/plans/fragments.ts';
import { dit } from '../../models/dit.ts';
import { familiesOf, tell } from '../helpers/executed.ts';
import { TestGpu } from '../helpers/gpu.ts';
import { relativeError } from '../helpers/relative-error.ts';
import { smallFragments } from '../helpers/small-fragments.ts';
import { HALF_PASS } from '../helpers/tolerances.ts';
import { backward, expectSlopes, roundTrip, slopesThatAre } from '../models/backward.ts';
import { compile, drawBindings } from '../models/zoo.ts';
import { gpt } from '../models/zoo/gpt.ts';
import { mixer } from '../models/zoo/mixer.ts';
import { mmdit } from '../models/zoo/mmdit.ts';
import { unet } from '../models/zoo/unet.ts';
import { vit } from '../models/zoo/vit.ts';

vi.setConfig({ testTimeout: 3_600_000 });

let gpu: TestGpu;
let device: DeviceSpec;
beforeAll(async () => {
  gpu = await TestGpu.open();
  // A software device has as many registers as a kernel asks for; with subgroups of 8 that is more than GPUs have.
  device = { ...gpu.spec, kind: 'hardware', ...(gpu.spec.kind !== 'hardware' && { registers: 1024 }) };
});
afterAll(() => gpu?.close());

/** Its rows, of two examples, fill tiles; so do its heads. */
const DIT = dit({ inputSize: 16, hiddenSize: 64, depth: 1, numHeads: 2, numClasses: 10 });
/** Blocks as wide as DiT-S's and DiT-XL's, with heads of 64 and 72. */
const AS_S = dit({ inputSize: 8, hiddenSize: 384, depth: 1, numHeads: 6, numClasses: 10 });
const AS_XL = dit({ inputSize: 8, hiddenSize: 1152, depth: 1, numHeads: 16, numClasses: 10 });

const AUTOENCODER = roundTrip({
  ...{ inChannels: 3, latentChannels: 4, blockOutChannels: [32, 64], layersPerBlock: 1, normNumGroups: 8 },
  sampleSize: [16, 16],
});

const MODELS: readonly (readonly [string, Model])[] = [
  ['a U-Net', unet({ height: 16, width: 16, channels: 32, out: 64, time: 32, groups: 8 })],
  ['a ViT', vit({ height: 16, width: 16, d: 64, depth: 1 })],
  ['a Mixer', mixer({ tokens: 64, inputs: 32, d: 64, tokenHidden: 64, channelHidden: 128, depth: 1 })],
  ['a GPT', gpt({ tokens: 40, d: 96, depth: 1, heads: 3 })],
  ['an MMDiT', mmdit({ tokens: 33, words: 31, d: 64, heads: 4, depth: 1 })],
  ['an autoencoder', AUTOENCODER],
  ['a DiT', DIT],
  ['a block of DiT-S', AS_S],
  ['a block of DiT-XL', AS_XL],
];

/** Sums of squares of f16: means of them would have gradients that f16 has no digits for. */
const SCALE = 256;

describe.runIf(process.env.DITC_SLOW)('whole models on matrix units', () => {
  const hasUnits = () => fragmentShapes(device, 'f16').length > 0;

  async function run(artefact: Artefact, entry: string, bindings: Readonly<Record<string, ArrayLike<number>>>) {
    const families = familiesOf(artefact);
    expect(families).toContain('product-fragments');
    return { families, ...(await gpu.run(artefact, entry, bindings)) };
  }

  const told = (families: readonly string[]) => ({ device: device.description!, families, bound: HALF_PASS });

  it.each(MODELS)('%s', async (_, model) => {
    if (!hasUnits()) return;
    const { graph } = traceEntry(model, 'forward', { batch: 2 });
    const bindings = drawBindings(graph);
    const { families, outputs } = await run(
      compile(model, device, 'forward', 2, 'f16', smallFragments),
      'forward',
      bindings,
    );
    const want = interpret(graph, bindings).outputs;
    tell(told(families), outputs, want);
    for (const [name, { data }] of Object.entries(want))
      expect(relativeError(outputs[name], data), name).toBeLessThan(HALF_PASS);
  });

  it.each(MODELS)('%s: all gradients', async (_, model) => {
    if (!hasUnits()) return;
    const { graph } = backward(model, { scale: SCALE });
    const bindings = drawBindings(graph);
    const artefact = compileGraphs([graph], { device, passes: passesFor('f16'), plan: smallFragments, verify: true });
    const { families, outputs } = await run(artefact, graph.name, bindings);
    const want = interpret(graph, bindings).outputs;
    tell(told(families), outputs, slopesThatAre(graph, want));
    expectSlopes(graph, outputs, want, HALF_PASS);
  });

  it.each([
    ['a DiT', DIT],
    ['a block of DiT-S', AS_S],
  ])('%s: a training step', async (_, model) => {
    if (!hasUnits()) return;
    const { graph } = traceEntry(model, 'trainStepGiven', { batch: 2 });
    const drawn = drawBindings(graph);
    // Moments start at nothing, so that the first are what the gradients are.
    const bindings = Object.fromEntries(
      Object.entries(drawn).map(([name, values]) => [
        name,
        /^(optimizer|ema)/.test(name) ? values.map(() => 0) : values,
      ]),
    );
    const artefact = compile(model, device, 'trainStepGiven', 2, 'f16', smallFragments);
    const given = { ...bindings, 'optimizer.lossScale': [2 ** 16] };
    const { families, outputs, updates } = await run(artefact, 'trainStepGiven', given);
    expect(families).toEqual(
      expect.arrayContaining(['product-fragments', 'attention-fragments', 'attention-gradient-fragments']),
    );
    const want = interpret(resolveGradients(graph), bindings);
    const moments = Object.entries(want.updates).filter(([name]) => /^optimizer\.m\./.test(name));
    expect(moments.length).toBeGreaterThan(10);
    const judged = { loss: want.outputs.loss, ...Object.fromEntries(moments) };
    const got: typeof outputs = { ...updates, loss: outputs.loss };
    tell(told(families), got, judged);
    for (const [name, { data }] of Object.entries(judged))
      expect(relativeError(got[name], data), name).toBeLessThan(HALF_PASS);
  });
});
