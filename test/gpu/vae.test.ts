/** The compiled autoencoder against diffusers' golden tensors. */
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { compileModel } from '../../compiler/compile.ts';
import type { DeviceSpec } from '../../compiler/device.ts';
import { autoencoderKL } from '../../models/vae.ts';
import { TestGpu } from '../helpers/gpu.ts';
import { relativeError } from '../helpers/relative-error.ts';
import { bindingsOf, goldenCases, readGolden } from '../models/golden.ts';
import { PASS } from '../helpers/tolerances.ts';

/** A software GPU compiles some forty kernels for each entry. */
vi.setConfig({ testTimeout: 600_000 });

let gpu: TestGpu;
beforeAll(async () => {
  gpu = await TestGpu.open();
});
afterAll(() => gpu?.close());

async function errorOf(stem: string, entry: 'encode' | 'decode', device: DeviceSpec): Promise<number> {
  const golden = await readGolden(stem);
  const entryOptions = { batch: golden.shapes['input.image'][0] };
  const options = { name: stem, source: 'models/vae.ts', device, verify: true, entryOptions };
  const artefact = compileModel(autoencoderKL(golden.config), { ...options, entries: [entry] });
  const { outputs } = await gpu.run(artefact, entry, bindingsOf(golden));
  const output = entry === 'encode' ? 'moments' : 'image';
  return relativeError(outputs[output], golden.values[`output.${output}`]);
}

describe.each(goldenCases('vae-'))('%s', (stem) => {
  it.each(['encode', 'decode'] as const)('%s equals diffusers', async (entry) => {
    expect(await errorOf(stem, entry, gpu.spec)).toBeLessThan(PASS);
  });
});

it('decodes in parts what is too large for a binding', async () => {
  // The weights and the picture still fit; the activations of the last level have 16 KiB.
  const limits = { ...gpu.spec.limits, maxStorageBufferBindingSize: 6200 };
  expect(await errorOf('vae-four-levels', 'decode', { ...gpu.spec, limits })).toBeLessThan(PASS);
});
