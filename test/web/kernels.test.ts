/**
 * Every kernel of every variant that a browser runs is right there: held to the float64 reference of the values that it read in the page.
 * @once
 */
import { beforeEach, describe, expect, it } from 'vitest';
import type { Model } from '../../compiler/dsl/model.ts';
import { variantsOf } from '../../library/web/variants.ts';
import digits from '../../models/digits.ts';
import { dit } from '../../models/dit.ts';
import { autoencoderKL } from '../../models/vae.ts';
import { engines, need } from '../helpers/engines.ts';
import { checksIn, compileFor } from '../helpers/kernels-in.ts';
import { network } from './fixture.ts';

/** Lanes of a subgroup of SwiftShader's; Firefox has no subgroups. */
const LANES = 4;
const VARIANTS = { Chromium: ['sg', 'base'], Firefox: ['f16', 'base'] };

const MODELS: Record<string, { model: Model; entries: readonly string[]; isSlow?: boolean }> = {
  'a small DiT': { model: network, entries: ['sampleStart', 'sampleStep'] },
  digits: { model: digits, entries: ['sampleStart', 'sampleStep'], isSlow: true },
  'an autoencoder': {
    model: autoencoderKL({ blockOutChannels: [8, 16], layersPerBlock: 1, normNumGroups: 4, sampleSize: 8 }),
    entries: ['encode', 'decode'],
    isSlow: true,
  },
  'DiT-S of one block': {
    model: dit({ hiddenSize: 384, depth: 1, numHeads: 6, inputSize: 8, patchSize: 2 }),
    entries: ['forward'],
    isSlow: true,
  },
};

describe.each(engines)('kernels in $title', { timeout: 420_000 }, (engine) => {
  beforeEach(({ skip }) => need(engine, skip));
  const cases = VARIANTS[engine.name].flatMap((variant) =>
    Object.entries(MODELS).map(([name, { isSlow, ...of }]) => ({ name, variant, isSlow, ...of })),
  );
  for (const { name, variant, model, entries, isSlow } of cases) {
    it.skipIf(isSlow && !process.env.DITC_SLOW)(`of ${name} are right as ${variant}`, async () => {
      const built = compileFor(
        model,
        variantsOf('f16', LANES).find((each) => each.name === variant)!,
        entries,
      );
      const checks = await checksIn(engine, built);
      expect(checks.map(({ dispatch }) => dispatch.kernel)).toEqual(Object.keys(built.artefact.manifest.kernels));
      const wrong = checks.filter(({ agrees }) => !agrees);
      expect(wrong.map(({ dispatch, error, tolerance }) => `${dispatch.kernel}: ${error} > ${tolerance}`)).toEqual([]);
    });
  }
});
