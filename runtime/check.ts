/** Whether a device can run a program: its kernels, and the buffers they bind. */
import type { Artefact, Dispatch } from '../compiler/emit/artefact.ts';
import { badArtefact, placeOf } from './buffers.ts';
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
    const lanes = subgroupLanes(device);
    if (kernel.subgroup !== undefined && kernel.subgroup > lanes) {
      const what = `kernel ${name} counts on subgroups of ${kernel.subgroup} lanes`;
      const why = `the device's may have as few as ${lanes}; its sums would miss the other lanes`;
      throw new RuntimeError({ code: 'missing-feature', where, what, why, fix: build });
    }
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
      const place = placeOf(resource, plan);
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

/** Lanes that every subgroup has: the standard's least where the device does not tell. */
const subgroupLanes = ({ adapterInfo }: GPUDevice): number =>
  (adapterInfo as GPUAdapterInfo | undefined)?.subgroupMinSize ?? 4;

/** The literal sizes of `@workgroup_size(…)`; what is no literal counts as 1 and is left to the shader compiler. */
function workgroupSize(wgsl: string): [number, number, number] {
  const sizes = /@workgroup_size\(([^)]*)\)/.exec(wgsl)?.[1].split(',') ?? [];
  const [x = 1, y = 1, z = 1] = sizes.map((text) => Number(/^\s*(\d+)[iu]?\s*$/.exec(text)?.[1] ?? 1));
  return [x, y, z];
}
