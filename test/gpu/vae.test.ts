/** The compiled autoencoder against diffusers' golden tensors. */
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { compileModel } from '../../compiler/pipeline.ts';
import { autoencoderKL } from '../../models/vae.ts';
import { relativeError, TestGpu } from '../helpers/gpu.ts';
import { bindingsOf, goldenCases, readGolden } from '../models/golden.ts';

/** A software GPU compiles some forty kernels for each entry. */
vi.setConfig({ testTimeout: 600_000 });

/** DESIGN.md section 4: f32 error of a whole pass. */
const TOLERANCE = 1e-4;

let gpu: TestGpu;
beforeAll(async () => {
  gpu = await TestGpu.open();
});
afterAll(() => gpu?.close());

describe.each(goldenCases('vae-'))('%s', (stem) => {
  it.each([
    ['encode', 'moments'],
    ['decode', 'image'],
  ])('%s equals diffusers', async (entry, output) => {
    const golden = await readGolden(stem);
    const entryOptions = { batch: golden.shapes['input.image'][0] };
    const options = { name: stem, source: 'models/vae.ts', device: gpu.spec, verify: true, entryOptions };
    const artefact = compileModel(autoencoderKL(golden.config), { ...options, entries: [entry] });
    const { outputs } = await gpu.run(artefact, entry, bindingsOf(golden));
    expect(relativeError(outputs[output], golden.values[`output.${output}`])).toBeLessThan(TOLERANCE);
  });
});
