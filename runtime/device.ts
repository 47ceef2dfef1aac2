/**
 * The device under a program: what it can do ({@link DeviceSpec}, plain JSON that the compiler plans against) and an
 * open GPUDevice with its errors and its loss turned into {@link RuntimeError}s.
 *
 * Runs in Node and in a page alike: it is handed a GPUAdapter and imports no Node built-in. In Node,
 * `runtime/node/adapter.ts` finds the adapter.
 */
import type { DeviceKind, DeviceSpec as PlannedDevice, SubgroupMatrixShape } from '../compiler/device.ts';
import { RuntimeError } from './error.ts';
import { Faults } from './faults.ts';

export type { DeviceKind, SubgroupMatrixShape };

/**
 * How Dawn is set up: `safe` validates and clamps as a browser does (the default), `fast` leaves that out (benchmarks
 * only, after a validated run), `debug` keeps names in the backend and reports errors where they arise.
 */
export type Profile = 'safe' | 'fast' | 'debug';

/** What the compiler plans for, as an adapter tells it: nothing left out but what nobody can know. */
export type DeviceSpec = PlannedDevice &
  Required<
    Pick<PlannedDevice, 'vendor' | 'architecture' | 'description' | 'backend' | 'subgroupMatrix' | 'sources'>
  > & {
    readonly profile: Profile;
  };

/** The optional features worth having; all that an adapter offers are requested. Sorted. */
export const USEFUL_FEATURES = [
  'chromium-experimental-subgroup-matrix',
  'shader-f16',
  'subgroup-size-control',
  'subgroups',
  'timestamp-query',
] as const;

/** The limits that a {@link DeviceSpec} records. Sorted. */
export const SPEC_LIMITS = [
  'maxBindGroups',
  'maxBindingsPerBindGroup',
  'maxBufferSize',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupSizeX',
  'maxComputeWorkgroupSizeY',
  'maxComputeWorkgroupSizeZ',
  'maxComputeWorkgroupStorageSize',
  'maxComputeWorkgroupsPerDimension',
  'maxStorageBufferBindingSize',
  'maxStorageBuffersPerShaderStage',
  'maxUniformBufferBindingSize',
  'maxUniformBuffersPerShaderStage',
  'minStorageBufferOffsetAlignment',
  'minUniformBufferOffsetAlignment',
] as const;

/**
 * Rough rates of the two software devices, for the planner's roofline: best of 12 runs of a vec4 copy of 32 MiB and of
 * eight independent f32 multiply-add chains on 2 busy cores (November 2026, Mesa 25.0.7, SwiftShader of Chromium 143).
 * Constants, not measured at start-up: the same plan must come out on every run.
 */
const SOFTWARE_RATES: Record<string, { bandwidthGBs: number; gflops: number }> = {
  lavapipe: { bandwidthGBs: 4, gflops: 24 },
  // The same within the noise: such chains wait for the loop's masks, not for the multipliers.
  'lavapipe-512': { bandwidthGBs: 4, gflops: 24 },
  swiftshader: { bandwidthGBs: 0.6, gflops: 2.6 },
};

const SOFTWARE_SOURCE = 'measured: a copy, and chains of multiply-adds, on 2 cores (November 2026)';

/** The spec of an adapter. The caller says what the adapter itself cannot: its kind, the profile and the backend. */
export function specFromAdapter(
  adapter: GPUAdapter,
  kind: DeviceKind,
  profile: Profile,
  backend = 'unknown',
): DeviceSpec {
  const { info } = adapter;
  const features: string[] = USEFUL_FEATURES.filter((name) => adapter.features.has(name));
  const name = kind === 'null' ? 'null' : shortName(info);
  // Without sizes (older browsers) the standard's bounds hold: 4 to 128.
  const { subgroupMinSize: min = 4, subgroupMaxSize: max = 128 } = info;
  const subgroups = features.includes('subgroups') ? { min, max } : null;
  const rates = kind === 'software' ? SOFTWARE_RATES[name] : undefined;
  const limits: Record<string, number> = {};
  for (const key of SPEC_LIMITS) {
    const value = (adapter.limits as unknown as Record<string, number | undefined>)[key];
    if (value !== undefined) limits[key] = value;
  }
  return {
    name,
    kind,
    vendor: info.vendor,
    architecture: info.architecture,
    description: info.description || info.device,
    backend,
    features,
    subgroups,
    subgroupMatrix: matrixShapes(info),
    limits,
    // A software device runs one subgroup as one CPU vector.
    ...(kind === 'software' && subgroups ? { simdWidth: subgroups.max } : {}),
    ...rates,
    sources: { capabilities: 'adapter: what Dawn says of it', ...(rates && { rates: SOFTWARE_SOURCE }) },
    profile,
  };
}

/** Whether an adapter computes on the CPU. */
export function isSoftware(info: GPUAdapterInfo): boolean {
  // isFallbackAdapter is the standard's word for it; browsers of before 2025 do not have it.
  return info.isFallbackAdapter === true || isSoftwareName(`${info.device} ${info.description} ${info.architecture}`);
}

/** Whether an adapter's name is one of the known software devices. */
export function isSoftwareName(name: string): boolean {
  return /llvmpipe|lavapipe|swiftshader|softpipe|basic render driver|\bwarp\b/i.test(name);
}

/** Whether a device is Mesa's software Vulkan, of any vector width. */
export const isLavapipe = (spec: Pick<DeviceSpec, 'name'> | null): boolean =>
  /^lavapipe(-\d+)?$/.test(spec?.name ?? '');

function shortName(info: GPUAdapterInfo): string {
  const text = `${info.device} ${info.description}`;
  if (/llvmpipe|lavapipe/i.test(text)) {
    const bits = 32 * (info.subgroupMaxSize ?? 8);
    return bits === 256 ? 'lavapipe' : `lavapipe-${bits}`;
  }
  if (/swiftshader/i.test(text)) return 'swiftshader';
  const own = info.device || info.description || `${info.vendor} ${info.architecture}`;
  const slug = own
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '');
  return slug || 'gpu';
}

function matrixShapes(info: GPUAdapterInfo): SubgroupMatrixShape[] {
  // Not in the standard yet: Dawn adds it to the info when the experimental feature is there.
  const configs = (info as { subgroupMatrixConfigs?: Iterable<SubgroupMatrixShape> }).subgroupMatrixConfigs ?? [];
  const shapes = [...configs].map(({ componentType, resultComponentType, M, N, K }) =>
    JSON.stringify({ componentType, resultComponentType, M, N, K }),
  );
  return [...new Set(shapes)].sort().map((shape) => JSON.parse(shape) as SubgroupMatrixShape);
}

/** An open device. Use `device` freely, call {@link check} where work is awaited, and {@link close} when done. */
export interface OpenDevice {
  /** With every useful feature of the adapter, and its limits. */
  readonly device: GPUDevice;
  /** What is known of it, as `compile` takes it. */
  readonly spec: DeviceSpec;
  /** Resolves with the reason if the device is lost; stays pending otherwise, also after `close()`. */
  readonly lost: Promise<RuntimeError>;
  /** Throws the first error since the last call that neither an error scope nor a Program told of, or the device's loss. */
  check(): void;
  /** Destroys the device and what was allocated on it. Safe to call twice. */
  close(): void;
}

/** How a device is opened. */
export interface OpenOptions {
  /** Called at once for an uncaptured error or a loss, instead of keeping it for {@link OpenDevice.check}. */
  onError?: (error: RuntimeError) => void;
}

// The standard's "consumed" adapter, refused here so that the message says what to do.
const usedAdapters = new WeakSet<GPUAdapter>();

/**
 * Requests a device with every useful feature the adapter offers and the adapter's maximum limits.
 * @throws RuntimeError `adapter-used` when the adapter gave a device before, `no-device` when it refuses.
 */
export async function openDevice(
  adapter: GPUAdapter,
  spec: DeviceSpec,
  options: OpenOptions = {},
): Promise<OpenDevice> {
  if (usedAdapters.has(adapter)) {
    throw new RuntimeError({
      code: 'adapter-used',
      what: `cannot open a second device on adapter ${spec.name}`,
      why: 'a WebGPU adapter gives one device',
      fix: 'find the adapter again for each device',
    });
  }
  usedAdapters.add(adapter);
  const device = await requestDevice(adapter, spec);

  const faults = new Faults();
  let closed = false;
  const report = (error: RuntimeError) => {
    if (options.onError) options.onError(error);
    else faults.add(error);
  };
  device.addEventListener('uncapturederror', (event) => {
    // Otherwise Dawn and browsers also print it.
    event.preventDefault();
    report(uncaptured(event.error, spec));
  });
  const lost = new Promise<RuntimeError>((resolve) => {
    void device.lost.then((info) => {
      if (closed) return;
      const error = lossOf(info, spec);
      report(error);
      resolve(error);
    });
  });
  return {
    device,
    spec,
    lost,
    check() {
      const error = closed ? undefined : faults.take();
      if (error) throw error;
    },
    close() {
      if (closed) return;
      closed = true;
      device.destroy();
      // An error that nobody checked for must not vanish.
      const error = faults.takeUntold();
      if (error) console.error(error.message);
    },
  };
}

async function requestDevice(adapter: GPUAdapter, spec: DeviceSpec): Promise<GPUDevice> {
  const requiredFeatures = USEFUL_FEATURES.filter((name) => adapter.features.has(name)) as GPUFeatureName[];
  const requiredLimits: Record<string, number> = {};
  const limits = adapter.limits as unknown as Record<string, unknown>;
  for (const key in limits) {
    const value = limits[key];
    if (typeof value === 'number') requiredLimits[key] = value;
  }
  try {
    return await adapter.requestDevice({ label: 'ditc', requiredFeatures, requiredLimits });
  } catch (cause) {
    throw new RuntimeError({
      code: 'no-device',
      what: `adapter ${spec.name} (${spec.description}) gives no device`,
      why: messageOf(cause),
      fix: 'update the GPU driver, or try another adapter with DITC_ADAPTER',
      cause,
    });
  }
}

function uncaptured(error: GPUError, spec: DeviceSpec): RuntimeError {
  const outOfMemory = error.constructor.name === 'GPUOutOfMemoryError';
  return new RuntimeError({
    code: outOfMemory ? 'out-of-memory' : 'gpu-error',
    what: outOfMemory ? `device ${spec.name} is out of memory` : `device ${spec.name} reports an error`,
    why: error.message.trim(),
    fix: outOfMemory
      ? 'build with a smaller --batch, or use f16'
      : 'this is a bug in ditc: please report it with this text',
    cause: error,
  });
}

function lossOf(info: GPUDeviceLostInfo, spec: DeviceSpec): RuntimeError {
  return new RuntimeError({
    code: 'device-lost',
    what: `device ${spec.name} was lost`,
    why: info.message.trim() || `reason: ${info.reason}`,
    fix:
      info.reason === 'destroyed'
        ? 'open a new device; something destroyed this one while it was in use'
        : 'open a new device; if it happens again, the driver stopped a kernel (time limit or out of memory): use a smaller --batch',
    cause: info,
  });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message.trim() : String(error);
}
