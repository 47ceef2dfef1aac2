import { DitcError } from './ir/index.ts';
import portable from './specs/portable.json' with { type: 'json' };

/** What the compiler knows of a GPU: plain JSON, recorded by `ditc doctor` or written by hand. */
export interface DeviceSpec {
  readonly name: string;
  readonly kind: 'hardware' | 'software' | 'null';
  readonly features: readonly string[];
  /** Subgroup sizes the adapter may pick; null without subgroup operations. */
  readonly subgroups: { readonly min: number; readonly max: number } | null;
  /** WebGPU limits by their names in the specification. */
  readonly limits: Readonly<Record<string, number>>;
  /** Memory bandwidth, GB/s, and f32 throughput, GFLOP/s; for the roofline and the cost model. */
  readonly bandwidthGBs?: number;
  readonly gflops?: number;
  /** What the caches of a software device's CPU hold. */
  readonly cacheBytes?: number;
  /**
   * Wanted of a build rather than known of a GPU: that sums are added up in the same order whatever the batch, so that an example
   * comes out the same in any company. Small batches then fill their tiles less well.
   */
  readonly steady?: boolean;
}

/** The limits every WebGPU implementation offers: what `ditc build` compiles for unless told. */
export const PORTABLE: DeviceSpec = portable as DeviceSpec;

export const limit = (device: DeviceSpec, name: string): number => device.limits[name] ?? PORTABLE.limits[name];

/** The one size of subgroup the device runs, when it is fixed and subgroup operations are there. */
export function fixedSubgroupSize(device: DeviceSpec): number | null {
  const { subgroups, features } = device;
  return subgroups && features.includes('subgroups') && subgroups.min === subgroups.max ? subgroups.min : null;
}

/** Software devices run products best by one subgroup without workgroup memory (DESIGN.md section 6: 10–15 against 1.6 GFLOP/s). */
export const prefersSubgroupProducts = (device: DeviceSpec): boolean =>
  device.kind === 'software' && fixedSubgroupSize(device) !== null;

/** For remarks: a kernel that would read more buffers than it may. Its result takes one more. */
export const tooManyBuffers = (reads: number, most: number, what: string): string =>
  `binding limit: ${what} the kernel binds ${reads + 1} buffers of ${most + 1}`;

/**
 * Throws unless the device stores f16. The portable one says nothing of optional features: that a build asks for f16 adds it
 * to what the device must have at load.
 */
export function checkHalf(device: DeviceSpec): void {
  if (device.name === PORTABLE.name || device.features.includes('shader-f16')) return;
  const why = `its features are ${device.features.join(', ') || 'none'}: f16 needs shader-f16`;
  const fix = 'leave --dtype f16 out, or use a device with shader-f16 (ditc doctor shows this machine’s)';
  throw new DitcError({ code: 'missing-feature', what: `${device.name} has no f16`, why, fix });
}
