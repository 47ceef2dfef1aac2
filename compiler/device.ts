import { DitcError } from './ir/index.ts';
import portable from './specs/portable.json' with { type: 'json' };

/** What kind of machine runs the kernels; `null` validates WGSL but computes nothing. */
export type DeviceKind = 'hardware' | 'software' | 'null';

/** One shape that matrix units multiply, by Dawn's names: result[M,N] += left[M,K] · right[K,N]. */
export interface SubgroupMatrixShape {
  /** Of left and right: `f32`, `f16`, `u8` or `i8`. */
  readonly componentType: string;
  /** Of the result: `f32`, `f16`, `u32` or `i32`. */
  readonly resultComponentType: string;
  readonly M: number;
  readonly N: number;
  readonly K: number;
}

/**
 * Where figures come from, and who says so: what an `adapter` says of itself, a `lab` (a driver that compiles for a chip which is not
 * there), what was `measured` on one, what is `published` of it, or a `standard`.
 */
export type Source = `${'adapter' | 'lab' | 'measured' | 'published' | 'standard'}: ${string}`;

/**
 * All that is known of a GPU: plain JSON, recorded by `ditc doctor` (arrays and keys sorted, so that equal devices print equal) or
 * written by hand. The compiler plans for it, the runtime says it of the adapter that it has opened (runtime/device.ts).
 */
export interface DeviceSpec {
  /**
   * Short and stable: `lavapipe` (with vectors of other than 256 bits, `lavapipe-512`), `swiftshader`, `null`, else a slug
   * of the adapter's own description.
   */
  readonly name: string;
  /** `hardware`, `software`, or `null`: it validates and computes nothing. */
  readonly kind: DeviceKind;
  readonly vendor?: string;
  readonly architecture?: string;
  readonly description?: string;
  /** `vulkan`, `metal`, `d3d12`, `null`, or `unknown` where a browser does not tell. */
  readonly backend?: string;
  /** The WebGPU features the compiler can use, of those the adapter has. */
  readonly features: readonly string[];
  /** Subgroup sizes the adapter may pick; null without subgroup operations. */
  readonly subgroups: { readonly min: number; readonly max: number } | null;
  /** Shapes of matrix units; none where `chromium-experimental-subgroup-matrix` is not offered. */
  readonly subgroupMatrix?: readonly SubgroupMatrixShape[];
  /** WebGPU limits by their names in the specification, at the adapter's maximum. */
  readonly limits: Readonly<Record<string, number>>;
  /** Lanes that one instruction computes, when known (a software device: the CPU's f32 vector width). */
  readonly simdWidth?: number;
  /** Numbers of 32 bits that an invocation may hold; 256 unless told. */
  readonly registers?: number;
  /** Copy bandwidth in 1e9 bytes per second and f32 rate in 1e9 FLOP per second, when known; for the roofline and the cost model. */
  readonly bandwidthGBs?: number;
  readonly gflops?: number;
  /** The same of f16 products with f32 sums on matrix units. */
  readonly matrixGflops?: number;
  /** What the caches of a software device's CPU hold. */
  readonly cacheBytes?: number;
  /** Where its figures come from: features, subgroups and limits; matrix shapes, where those come from elsewhere; rates. */
  readonly sources?: {
    readonly capabilities: Source;
    readonly subgroupMatrix?: Source;
    readonly rates?: Source;
  };
  /**
   * Wanted of a build rather than known of a GPU: that sums are added up in the same order whatever the batch, so that an example
   * comes out the same in any company. Small batches then fill their tiles less well.
   */
  readonly steady?: boolean;
  /** How the runtime has set the device up (`safe`, `fast`, `debug`). */
  readonly profile?: string;
}

/** The limits every WebGPU implementation offers: what `ditc build` compiles for unless told. */
export const PORTABLE: DeviceSpec = portable as DeviceSpec;

/** Whether only GPUs run it. Portable builds run on software too, whose compilers take minutes over kernels of many registers. */
export const isHardware = ({ kind, name }: DeviceSpec): boolean => kind === 'hardware' && name !== PORTABLE.name;

export const limit = (device: DeviceSpec, name: string): number => device.limits[name] ?? PORTABLE.limits[name];

/** Bindings start at multiples of so many bytes, whatever the device: no limit of its kind is larger. */
export const ALIGNMENT = PORTABLE.limits.minStorageBufferOffsetAlignment;

/** Bytes that memory is copied by. */
export const WORD = 4;

/** Whether so many bytes may be bound by themselves among others: what lies behind them starts with a word, and less is not worth it. */
export const isStretch = (bytes: number): boolean => bytes >= ALIGNMENT && bytes % WORD === 0;

/** The one size of subgroup the device runs, when it is fixed and subgroup operations are there. */
export function fixedSubgroupSize(device: DeviceSpec): number | null {
  const { subgroups, features } = device;
  return subgroups && features.includes('subgroups') && subgroups.min === subgroups.max ? subgroups.min : null;
}

/** Software devices run products best by one subgroup without workgroup memory (docs/numbers.md: 10–15 against 1.6 GFLOP/s). */
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
