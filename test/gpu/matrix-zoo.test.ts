/**
 * Whole models of the zoo in f16 on a device's matrix units, at sizes that fill tiles, against the interpreter. Minutes on a software GPU: with
 * DITC_SLOW alone (`DITC_SLOW=1 npm run lab -- run npx vitest run test/gpu/matrix-zoo.test.ts`).
 */
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { DeviceSpec } from '../../compiler/device.ts';
import type { Model } from '../../compiler/dsl/model.ts';
import { fragmentShapes } from '../../compiler/plans/fragments.ts';
import { TestGpu } from '../helpers/gpu.ts';
import { HALF_PASS } from '../helpers/tolerances.ts';
import { compile, errorOf } from '../models/zoo.ts';
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

const MODELS: readonly (readonly [string, Model])[] = [
  ['a U-Net', unet({ height: 16, width: 16, channels: 32, out: 64, time: 32, groups: 8 })],
  ['a ViT', vit({ height: 16, width: 16, d: 64, depth: 1 })],
  ['a Mixer', mixer({ tokens: 64, inputs: 32, d: 64, tokenHidden: 64, channelHidden: 128, depth: 1 })],
  ['a GPT', gpt({ tokens: 40, d: 96, depth: 1, heads: 3 })],
  ['an MMDiT', mmdit({ tokens: 33, words: 31, d: 64, heads: 4, depth: 1 })],
];

describe.runIf(process.env.DITC_SLOW)('whole models on matrix units', () => {
  it.each(MODELS)('%s', async (_, model) => {
    if (!fragmentShapes(device, 'f16').length) return;
    const { kernels } = compile(model, device, 'forward', 2, 'f16').manifest;
    expect(Object.values(kernels).map(({ plan }) => plan.family)).toContain('product-fragments');
    expect(await errorOf(gpu, model, 2, 'forward', device, 'f16')).toBeLessThan(HALF_PASS);
  });
});
