/** Whether a device can run a program: its kernels, and the buffers they bind. */
import type { SubgroupMatrixShape } from '../compiler/device.ts';
import type { Artefact, Dispatch, KernelSpec } from '../compiler/emit/artefact.ts';
import { badArtefact, boundOf } from './buffers.ts';
import type { MemoryPlan } from './buffers.ts';
import { RuntimeError } from './error.ts';

/**
 * Checks kernels and buffers of the entries against the device, before anything is allocated.
 * @throws RuntimeError `missing-feature` or `limit`, naming the kernel or tensor, the limit and the fix; `bad-artefact`.
 */
export function checkDevice(device: GPUDevice, artefact: Artefact, entries: readonly string[], plan: MemoryPlan): void {
  const { manifest, wgsl } = artefact;
  const { limits } = device;
  const build = 'build the model for this device (ditc build --device)';
  const over = (what: string, limit: keyof GPUSupportedLimits, fix: string, where?: string) =>
    new RuntimeError({ code: 'limit', where, what, why: `the device's ${limit} is ${String(limits[limit])}`, fix });
  for (const { kind, name, bytes } of plan.buffers.values()) {
    if (bytes > limits.maxBufferSize)
      throw over(`${kind} ${name} takes ${bytes} bytes`, 'maxBufferSize', `${build}, or with a smaller --batch`);
  }
  const checked = new Set<string>();
  const checkKernel = (name: string, where?: string) => {
    const kernel = manifest.kernels[name];
    const text = wgsl.get(name);
    if (!kernel || text === undefined) throw badArtefact(`kernel ${name} is missing`, 'an entry dispatches it', where);
    for (const feature of kernel.features) {
      if (device.features.has(feature)) continue;
      const why = `the device offers ${[...device.features].sort().join(', ') || 'no optional feature'}`;
      const fix =
        feature === 'shader-f16' ? 'build the model with --dtype f32' : `${build}; it will then do without ${feature}`;
      throw new RuntimeError({ code: 'missing-feature', where, what: `kernel ${name} needs ${feature}`, why, fix });
    }
    const unfit = unfitSubgroups(device, kernel);
    if (unfit)
      throw new RuntimeError({
        code: 'missing-feature',
        where,
        fix: build,
        what: `kernel ${name} ${unfit.what}`,
        why: unfit.why,
      });
    const { length } = kernel.bindings;
    if (length > limits.maxStorageBuffersPerShaderStage)
      throw over(`kernel ${name} binds ${length} buffers`, 'maxStorageBuffersPerShaderStage', build, where);
    const size = workgroupSize(text);
    const dimensions = ['maxComputeWorkgroupSizeX', 'maxComputeWorkgroupSizeY', 'maxComputeWorkgroupSizeZ'] as const;
    const broken: keyof GPUSupportedLimits | undefined =
      dimensions.find((limit, axis) => size[axis] > limits[limit]) ??
      (size[0] * size[1] * size[2] > limits.maxComputeInvocationsPerWorkgroup
        ? 'maxComputeInvocationsPerWorkgroup'
        : undefined);
    if (broken) throw over(`kernel ${name} has workgroups of ${size.join('×')} invocations`, broken, build, where);
  };
  const checkDispatch = (dispatch: Dispatch) => {
    const { kernel, workgroups, resources, value } = dispatch;
    const where = dispatch.source[0];
    if (!checked.has(kernel)) checkKernel(kernel, where);
    checked.add(kernel);
    if (Math.max(...workgroups) > limits.maxComputeWorkgroupsPerDimension) {
      const what = `${value} (kernel ${kernel}) is dispatched as ${workgroups.join('×')} workgroups`;
      throw over(what, 'maxComputeWorkgroupsPerDimension', build, where);
    }
    const { bindings } = manifest.kernels[kernel];
    if (resources.length !== bindings.length)
      throw badArtefact(`${value}: kernel ${kernel} has ${bindings.length} bindings`, `${resources.length} are given`);
    resources.forEach((resource, i) => {
      const place = boundOf(resource, plan);
      const tensor =
        resource.kind === 'arena' ? `${bindings[i].name} of ${value}` : `${resource.kind} ${resource.name}`;
      if (place.bytes > limits.maxStorageBufferBindingSize) {
        const what = `${tensor} (kernel ${kernel}) binds ${place.bytes} bytes`;
        throw over(what, 'maxStorageBufferBindingSize', `${build}, or with a smaller --batch or --dtype f16`, where);
      }
      if (place.bytes < bindings[i].bytes)
        throw badArtefact(`${tensor} has ${place.bytes} bytes`, `kernel ${kernel} uses ${bindings[i].bytes}`, where);
      const alignment = limits.minStorageBufferOffsetAlignment;
      if (place.offset % alignment !== 0 && resource.kind === 'param') {
        const what = `${tensor} (kernel ${kernel}) starts at byte ${place.offset} of ${place.key}`;
        const why = `a binding starts at a multiple of ${alignment} bytes: the device's minStorageBufferOffsetAlignment`;
        throw badArtefact(what, why, where);
      }
      if (place.offset % alignment !== 0)
        throw over(`${tensor} starts at byte ${place.offset}`, 'minStorageBufferOffsetAlignment', build, where);
    });
  };
  for (const entry of entries) manifest.entries[entry].dispatches.forEach(checkDispatch);
}

/** What a kernel expects of subgroups and matrix units that the device does not have. */
function unfitSubgroups(device: GPUDevice, kernel: KernelSpec): { what: string; why: string } | undefined {
  const { subgroup: lanes, matrix = [], features } = kernel;
  if (lanes === undefined) return undefined;
  const info = device.adapterInfo as
    (GPUAdapterInfo & { subgroupMatrixConfigs?: Iterable<SubgroupMatrixShape> }) | undefined;
  // Without sizes (older browsers) the standard's bounds hold.
  const { subgroupMinSize: min = 4, subgroupMaxSize: max = 128 } = info ?? {};
  const isAsked = features.includes('subgroup-size-control');
  if (isAsked ? lanes < min || lanes > max : matrix.length ? lanes !== min || lanes !== max : lanes > min) {
    const [what, least] = [`counts on subgroups of ${lanes} lanes`, `the device's may have as few as ${min}`];
    return {
      what,
      why: lanes > min ? `${least}; its sums would miss the other lanes` : `the device has those of ${min} to ${max}`,
    };
  }
  // Dawn tells the shapes of an adapter, and in Node not yet those of a device: it then refuses others where it compiles them.
  const configs = [...(info?.subgroupMatrixConfigs ?? [])];
  const lacking = matrix.find(
    (shape) => !configs.some((config) => SHAPE_KEYS.every((key) => config[key] === shape[key])),
  );
  if (!lacking || !configs.length) return undefined;
  const what = `multiplies ${shapeText(lacking)} on matrix units`;
  return { what, why: `the device's multiply ${configs.map(shapeText).join(', ')}` };
}

const shapeText = ({ M, N, K, componentType, resultComponentType }: SubgroupMatrixShape): string =>
  `${M}×${N}×${K} ${componentType}→${resultComponentType}`;

const SHAPE_KEYS = ['M', 'N', 'K', 'componentType', 'resultComponentType'] as const;

/** The literal sizes of `@workgroup_size(…)`; what is no literal counts as 1 and is left to the shader compiler. */
function workgroupSize(wgsl: string): [number, number, number] {
  const sizes = /@workgroup_size\(([^)]*)\)/.exec(wgsl)?.[1].split(',') ?? [];
  const [x = 1, y = 1, z = 1] = sizes.map((text) => Number(/^\s*(\d+)[iu]?\s*$/.exec(text)?.[1] ?? 1));
  return [x, y, z];
}
