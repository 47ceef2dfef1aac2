/**
 * Every kernel of every model as GPUs run them, in this process (machine.test.ts): tiles in registers, rows and products by wide subgroups,
 * matrix units of each kind, in f32 and in f16. Numbers that are f16 keep all of their digits here, so that the interpreter is the judge
 * to the same bound; what f16 leaves of them is shown elsewhere (test/gpu/half.test.ts). The gate runs an entry of each kind, DITC_SLOW all.
 */
import { afterAll, describe, expect, it } from 'vitest';
import type { DeviceSpec } from '../../compiler/device.ts';
import type { Model } from '../../compiler/dsl/model.ts';
import { passesFor, type Precision } from '../../compiler/pipeline.ts';
import { dit } from '../../models/dit.ts';
import { GPU, HARDWARE } from '../helpers/devices.ts';
import { MATRIX_DEVICES } from '../helpers/fragment-products.ts';
import { expectEntry, MODELS } from './machine.ts';

/** With one whose rows fill tiles of fragments, in training too. */
const ALL: Readonly<Record<string, Model>> = {
  ...MODELS,
  'dit, 36 tokens': dit({
    inputSize: 12,
    inChannels: 3,
    hiddenSize: 48,
    depth: 1,
    numHeads: 2,
    mlpRatio: 2,
    numClasses: 5,
  }),
};

interface Target {
  readonly device: DeviceSpec;
  readonly dtype: Precision;
  /** The entry that the gate runs. */
  readonly gate: readonly [model: string, entry: string];
}

const isOfSingles = ({ subgroupMatrix }: DeviceSpec) => subgroupMatrix![0].componentType === 'f32';

const TARGETS: readonly Target[] = [
  { device: HARDWARE, dtype: 'f32', gate: ['clip', 'forward'] },
  { device: GPU, dtype: 'f32', gate: ['vae', 'decode'] },
  { device: GPU, dtype: 'f16', gate: ['gpt', 'forward'] },
  ...MATRIX_DEVICES.filter(isOfSingles).map((device): Target => ({
    device,
    dtype: 'f32',
    gate: ['dit, 36 tokens', 'trainStepGiven'],
  })),
  ...MATRIX_DEVICES.map((device): Target => ({ device, dtype: 'f16', gate: ['vit', 'forward'] })),
];

const seen = new Set<string>();

describe.each(TARGETS.map((target) => [`${target.device.name}, ${target.dtype}`, target] as const))(
  '%s',
  (_, { device, dtype, gate }) => {
    const all = Object.entries(ALL).flatMap(([name, { entries }]) =>
      Object.keys(entries).map((entry) => [name, entry] as const),
    );
    it.each(process.env.DITC_SLOW ? all : [gate])('%s %s', (name, entry) => {
      const passes = passesFor(dtype);
      for (const family of expectEntry(ALL[name], entry, { device, passes, exact: true })) seen.add(family);
    });
  },
);

afterAll(() => {
  for (const family of ['product-fragments', 'attention-fragments', 'attention-gradient-fragments'])
    expect(seen).toContain(family);
});
