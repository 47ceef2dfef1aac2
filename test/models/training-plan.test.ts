/**
 * What a step of training costs a GPU that binds 8 buffers, as WebGPU promises, and one that binds 16: dispatches of one block,
 * forward, backward and optimiser together, and memory beside the least that any order of the kernels needs.
 */
import { describe, expect, it } from 'vitest';
import { compileModel } from '../../compiler/compile.ts';
import { traceEntry } from '../../compiler/dsl/model.ts';
import { schedule } from '../../compiler/pipeline.ts';
import { PORTABLE, type DeviceSpec } from '../../compiler/device.ts';
import { specOf } from '../../library/device.ts';
import { withBuffers } from '../helpers/devices.ts';
import { dit, sizes, type DiTConfig } from '../../models/dit.ts';

/** DiT-S/4, or what differs from it. */
const sized = (config: Partial<DiTConfig>, batch: number) => {
  const model = dit({ ...sizes.S, patchSize: 4, ...config });
  return { model, entryOptions: { ...model.options, batch } };
};

/** Kernels of a step, each of which is a dispatch: they are counted before they are written. */
function kernelsOf(device: DeviceSpec, config: Partial<DiTConfig>, batch = 8): number {
  const { model, entryOptions } = sized(config, batch);
  return schedule(traceEntry(model, 'trainStep', entryOptions).graph, { device }).regions.length;
}

function step(device: DeviceSpec, config: Partial<DiTConfig>) {
  const { model, entryOptions } = sized(config, 8);
  const { manifest } = compileModel(model, { name: 'step', source: '', device, entries: ['trainStep'], entryOptions });
  return manifest;
}

it('counts the multiply-accumulates of the backward pass, too', { timeout: 120_000 }, () => {
  const model = dit({ ...sizes.S, patchSize: 4, depth: 2 });
  const entryOptions = { ...model.options, batch: 8 };
  const entries = ['forward', 'trainStep'];
  const { manifest } = compileModel(model, { name: 'step', source: '', device: PORTABLE, entries, entryOptions });
  const [forward, step] = entries.map((entry) => manifest.entries[entry].macs);
  // Each product has two derivatives, but for the first ones: nothing asks for those by the picture and the timestep.
  expect(step / forward).toBeGreaterThan(2.9);
  expect(step / forward).toBeLessThan(3.3);
});

/** At 212 channels, nothing that the blocks have side by side starts where a binding may. */
const WIDTHS: readonly [device: string, hiddenSize: number, numHeads: number, most: number][] = [
  ['portable', 96, 2, 20],
  ['portable', 212, 4, 20],
];

/** Each of the others is two compilations more. Why some devices take more: docs/numbers.md. */
const MORE_WIDTHS: typeof WIDTHS = [
  ['portable', 192, 3, 20],
  ['portable', 208, 4, 20],
  ['portable', 384, 6, 20],
  ['portable', 768, 12, 20],
  ['portable', 1152, 16, 20],
  ['lavapipe', 192, 3, 26],
  ['rdna3', 192, 3, 29],
];

it.each(process.env.DITC_SLOW ? [...WIDTHS, ...MORE_WIDTHS] : WIDTHS)(
  'a block is as many dispatches at any width: %s, %i channels, %i heads: %i',
  { timeout: 240_000 },
  (device, hiddenSize, numHeads, most) => {
    const config = { hiddenSize, numHeads, inputSize: 16, patchSize: 2 };
    // From some number of blocks on, what they all read of the timestep is stored once: at five it is for each of these.
    const [before, after] = [5, 6].map((depth) => kernelsOf(specOf(device), { ...config, depth }, 4));
    expect(after - before).toBeLessThanOrEqual(most);
  },
);

/** At most 20 of a block with adaLN-Zero are asked. The others are what this compiler reaches: more of them is a step back. */
describe.each<[DiTConfig['block'], number, number]>([
  ['adaLN-Zero', 20, 16],
  ['adaLN', 18, 16],
  ['in-context', 14, 14],
  ['cross-attention', 24, 24],
])('%s', (block, few, many) => {
  it.each([
    [8, few],
    [16, many],
  ])('%i buffers: %i dispatches a block', { timeout: 120_000 }, (buffers, most) => {
    const before = kernelsOf(withBuffers(buffers), { block, depth: 1 });
    const after = step(withBuffers(buffers), { block, depth: 2 });
    expect(after.entries.trainStep.dispatches.length - before).toBeLessThanOrEqual(most);
    for (const { bindings } of Object.values(after.kernels)) expect(bindings.length).toBeLessThanOrEqual(buffers);
    const { activationPeakBytes, activationLowerBoundBytes } = after.entries.trainStep.memory;
    expect(activationPeakBytes).toBeLessThanOrEqual(1.15 * activationLowerBoundBytes);
    // Weights, moments and averages are updated where they lie.
    expect(after.entries.trainStep.updates.filter(({ bytes }) => bytes > 4)).toEqual([]);
  });
});
