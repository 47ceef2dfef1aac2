/** Linears of one value in a step of training: one product for all of them forward, one for the gradient of that value. */
import { describe, expect, it } from 'vitest';
import { compileModel } from '../../../compiler/compile.ts';
import { PORTABLE } from '../../../compiler/device.ts';
import { gatedStep } from '../../helpers/gated.ts';

const BLOCKS = 9;

describe.each([
  ['plain', {}, 'f32'],
  ['clipped', { clip: 1 }, 'f32'],
  ['accumulated', { accumulate: 2 }, 'f32'],
  ['in f16', {}, 'f16'],
] as const)('%s', (_name, options, dtype) => {
  const entry = 'step';
  const model = {
    config: {},
    entries: { step: (e: Parameters<typeof gatedStep>[0]) => gatedStep(e, BLOCKS, options) },
  };
  const settings = { device: PORTABLE, verify: true, entryOptions: { batch: 1 }, dtype };
  const { manifest } = compileModel(model, { ...settings, name: 'gated', source: 'gated' });
  const { dispatches, updates } = manifest.entries[entry];
  const weights = manifest.packs!.find(({ params }) => params[0].endsWith('weight'))!;

  it('weights and biases lie side by side', () => {
    expect(manifest.packs!.map(({ params }) => params.length)).toEqual([BLOCKS, BLOCKS]);
  });

  it('all weights are read together, once forward and once backward', () => {
    const readers = dispatches.filter(({ resources }) =>
      resources.some((resource) => resource.kind === 'pack' && resource.name === weights.name),
    );
    expect(readers).toHaveLength(2);
  });

  it('each weight is updated where it lies, by its own gradient', () => {
    expect(updates.filter(({ to }) => to.kind === 'param')).toEqual([]);
    const one = 4 * manifest.params.find(({ name }) => name === weights.params[0])!.shape.reduce((a, b) => a * b);
    // The gradient, both moments, the weight and its average.
    for (const { bytesWritten } of dispatches) expect(bytesWritten).toBeLessThanOrEqual(5 * one);
  });

  it('no kernel binds more than the device does', () => {
    const most = Math.max(...Object.values(manifest.kernels).map(({ bindings }) => bindings.length));
    expect(most).toBeLessThanOrEqual(PORTABLE.limits.maxStorageBuffersPerShaderStage);
  });
});
