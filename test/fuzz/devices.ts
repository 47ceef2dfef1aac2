/** Devices that the fuzzer compiles for: real ones, and such as nobody has yet. */
import { PORTABLE, type DeviceSpec } from '../../compiler/device.ts';
import lavapipe from '../../compiler/specs/lavapipe.json' with { type: 'json' };
import lavapipe512 from '../../compiler/specs/lavapipe-512.json' with { type: 'json' };
import appleM from '../../compiler/specs/apple-m.json' with { type: 'json' };
import rdna3 from '../../compiler/specs/rdna3.json' with { type: 'json' };
import swiftshader from '../../compiler/specs/swiftshader.json' with { type: 'json' };
import { without } from '../../compiler/fusion/passes.ts';
import { passesFor, type CompileOptions } from '../../compiler/pipeline.ts';

export interface Target extends Pick<CompileOptions, 'device' | 'passes' | 'fusion' | 'plan'> {
  readonly name: string;
}

const portable = (name: string, limits: Record<string, number>, more: Partial<DeviceSpec> = {}): Target => ({
  name,
  device: { ...PORTABLE, name, limits: { ...PORTABLE.limits, ...limits }, ...more },
});

const halves = (device: DeviceSpec): Target => ({
  name: `${device.name}, f16`,
  device: { ...device, features: [...new Set([...device.features, 'shader-f16'])] },
  passes: passesFor('f16'),
});

/** No kernel gives several results, and none computes statistics beside a product. */
const APART = without(
  ...['fuse-row-statistics', 'partial-statistics', 'fuse-consumers', 'fuse-scores', 'fuse-row-sums'],
  ...['fuse-siblings', 'share-rows'],
);

const real = [PORTABLE, lavapipe, lavapipe512, swiftshader] as DeviceSpec[];

export const TARGETS: readonly Target[] = [
  ...real.map((device): Target => ({ name: device.name, device })),
  // Values are computed and read in parts.
  portable('bindings of 4 KiB', { maxStorageBufferBindingSize: 4096 }),
  portable(
    'bindings of 16 KiB, subgroups of 8',
    { maxStorageBufferBindingSize: 16384 },
    { kind: 'software', features: ['subgroups'], subgroups: { min: 8, max: 8 } },
  ),
  portable('workgroups of 64, 4 KiB', { maxComputeInvocationsPerWorkgroup: 64, maxComputeWorkgroupStorageSize: 4096 }),
  portable('software without subgroups', {}, { kind: 'software' }),
  portable('16 buffers', { maxStorageBuffersPerShaderStage: 16 }),
  portable(
    'attention in kernels',
    {},
    { kind: 'software', features: ['subgroups'], subgroups: { min: 8, max: 8 }, cacheBytes: 0 },
  ),
  { ...portable('one result a kernel', {}), fusion: APART },
  portable('sums in one order whatever the batch', {}, { steady: true }),
  halves(PORTABLE),
  halves(lavapipe as DeviceSpec),
  { name: rdna3.name, device: rdna3 as DeviceSpec },
  // Matrix units of f16, and of f32.
  halves(rdna3 as DeviceSpec),
  { name: appleM.name, device: appleM as DeviceSpec },
];
