/** What `ditc build` promises of the published sizes. */
import { describe, expect, it } from 'vitest';
import { compileModel } from '../../compiler/compile.ts';
import { PORTABLE } from '../../compiler/device.ts';
import type { Model } from '../../compiler/dsl/index.ts';

/** The manifest of a model file's build, without the type check. */
async function manifestOf(name: string, entries?: string[]) {
  const { default: model } = (await import(`../../models/${name}.ts`)) as { default: Model };
  const options = { name, source: `models/${name}.ts`, device: PORTABLE, entries, entryOptions: { batch: 1 } };
  return compileModel(model, options).manifest;
}

/** Layers, width, tokens at 256 px and patch of a size; parameters with position table (docs/numbers.md). */
const SIZES: [string, number, number, number, number, number][] = [
  ['dit-s-8', 12, 384, 16, 8, 33_148_160],
  ['dit-s-4', 12, 384, 64, 4, 32_945_024],
  ['dit-s', 12, 384, 256, 2, 32_963_360],
  ['dit-b-8', 12, 768, 16, 8, 130_881_536],
  ['dit-b-4', 12, 768, 64, 4, 130_475_648],
  ['dit-b', 12, 768, 256, 2, 130_512_416],
  ['dit-l-8', 24, 1024, 16, 8, 458_594_816],
  ['dit-l-4', 24, 1024, 64, 4, 458_053_760],
  ['dit-l', 24, 1024, 256, 2, 458_102_816],
  ['dit-xl-8', 28, 1152, 16, 8, 675_683_072],
  ['dit-xl-4', 28, 1152, 64, 4, 675_074_432],
  ['dit-xl', 28, 1152, 256, 2, 675_129_632],
  ['dit-xl-512', 28, 1152, 1024, 2, 676_014_368],
];

describe('the published sizes', () => {
  it.each(SIZES)('%s', async (name, L, d, T, p, params) => {
    const { forward } = (await manifestOf(name, ['forward'])).entries;
    expect(forward.paramCount).toBe(params);
    const blocks = L * (12 * d * d * T + 2 * T * T * d + 6 * d * d);
    const ends = T * 4 * p * p * d + T * d * p * p * 8 + 256 * d + d * d + 2 * d * d;
    expect(forward.macs).toBe(blocks + ends);
    expect(forward.dispatches.reduce((sum, dispatch) => sum + dispatch.macs, 0)).toBe(blocks + ends);
    // Five kernels a block; outside: conditioning, patches, the packs of merged modulations, the final layer.
    expect(forward.dispatches.length).toBeLessThanOrEqual(5 * L + 12);
  });

  it('share kernels between blocks, whatever their number', async () => {
    const kernels = async (name: string) => Object.keys((await manifestOf(name, ['forward'])).kernels).length;
    expect(await kernels('dit-xl')).toBeLessThanOrEqual(await kernels('dit-s'));
  });

  it('a guided sampling step adds at most two dispatches to the forward pass', async () => {
    const { entries } = await manifestOf('dit-s');
    expect(entries.sampleStep.dispatches.length).toBeLessThanOrEqual(entries.forward.dispatches.length + 2);
  });
});
