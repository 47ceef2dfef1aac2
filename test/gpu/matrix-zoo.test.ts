/**
 * Whole models of the zoo in f16 on a device's matrix units, at sizes that fill tiles, against the interpreter. Minutes on a software GPU: with
 * DITC_SLOW alone (`DITC_SLOW=1 npm run lab -- run npx vitest run test/gpu/matrix-zoo.test.ts`).
 */
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { DeviceSpec } from '../../compiler/device.ts';
import type { Model } from '../../compiler/dsl/model.ts';
import { traceEntry } from '../../compiler/dsl/model.ts';
import { resolveGradients } from '../../compiler/autodiff/resolve.ts';
import { interpret } from '../../compiler/ops/index.ts';
import { fragmentShapes } from '../../compiler/plans/fragments.ts';
import { dit } from '../../models/dit.ts';
import { TestGpu } from '../helpers/gpu.ts';
import { relativeError } from '../helpers/relative-error.ts';
import { HALF_PASS } from '../helpers/tolerances.ts';
import { compile, drawBindings, errorOf } from '../models/zoo.ts';
import { gpt } from '../models/zoo/gpt.ts';
import { mixer } from '../models/zoo/mixer.ts';
import { mmdit } from '../models/zoo/mmdit.ts';
import { unet } from '../models/zoo/unet.ts';
import { vit } from '../models/zoo/vit.ts';

vi.setConfig({ testTimeout: 1_200_000 });

let gpu: TestGpu;
let device: DeviceSpec;
beforeAll(async () => {
  gpu = await TestGpu.open();
  device = { ...gpu.spec, kind: 'hardware' };
});
afterAll(() => gpu?.close());

/** Its rows, of two examples, fill tiles; so do its heads. */
const DIT = dit({ inputSize: 16, hiddenSize: 64, depth: 1, numHeads: 2, numClasses: 10 });
/** A block as wide as DiT-XL's, with heads of 72. */
const WIDE = dit({ inputSize: 8, hiddenSize: 1152, depth: 1, numHeads: 16, numClasses: 10 });

const MODELS: readonly (readonly [string, Model])[] = [
  ['a U-Net', unet({ height: 16, width: 16, channels: 32, out: 64, time: 32, groups: 8 })],
  ['a ViT', vit({ height: 16, width: 16, d: 64, depth: 1 })],
  ['a Mixer', mixer({ tokens: 64, inputs: 32, d: 64, tokenHidden: 64, channelHidden: 128, depth: 1 })],
  ['a GPT', gpt({ tokens: 40, d: 96, depth: 1, heads: 3 })],
  ['a DiT', DIT],
  ['a wide DiT', WIDE],
  ['an MMDiT', mmdit({ tokens: 33, words: 31, d: 64, heads: 4, depth: 1 })],
];

describe.runIf(process.env.DITC_SLOW)('whole models on matrix units', () => {
  it.each(MODELS)('%s', async (_, model) => {
    if (!fragmentShapes(device, 'f16').length) return;
    const { kernels } = compile(model, device, 'forward', 2, 'f16').manifest;
    expect(Object.values(kernels).map(({ plan }) => plan.family)).toContain('product-fragments');
    expect(await errorOf(gpu, model, 2, 'forward', device, 'f16')).toBeLessThan(HALF_PASS);
  });

  it('a DiT’s training step', async () => {
    if (!fragmentShapes(device, 'f16').length) return;
    const { graph } = traceEntry(DIT, 'trainStepGiven', { batch: 2 });
    const drawn = drawBindings(graph);
    // Moments start at nothing, so that the first are what the gradients are.
    const bindings = Object.fromEntries(
      Object.entries(drawn).map(([name, values]) => [
        name,
        /^(optimizer|ema)/.test(name) ? values.map(() => 0) : values,
      ]),
    );
    const artefact = compile(DIT, device, 'trainStepGiven', 2, 'f16');
    const families = Object.values(artefact.manifest.kernels).map(({ plan }) => plan.family);
    expect(families).toEqual(
      expect.arrayContaining(['product-fragments', 'attention-fragments', 'attention-gradient-fragments']),
    );
    const found = await gpu.run(artefact, 'trainStepGiven', { ...bindings, 'optimizer.lossScale': [2 ** 16] });
    const want = interpret(resolveGradients(graph), bindings);
    expect(relativeError(found.outputs.loss, want.outputs.loss.data)).toBeLessThan(HALF_PASS);
    const moments = Object.keys(want.updates).filter((name) => /^optimizer\.m\./.test(name));
    expect(moments.length).toBeGreaterThan(10);
    for (const name of moments)
      expect(relativeError(found.updates[name], want.updates[name].data), name).toBeLessThan(HALF_PASS);
  });
});
