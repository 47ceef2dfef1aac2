/**
 * The memory of a program: which buffers it needs, whether the device can hold and bind them, and their allocation. The
 * plan is pure and checked before anything is allocated; after allocation nothing grows.
 */
import type { Artefact, Dispatch, EntrySpec, Manifest, Resource, TensorSpec } from '../compiler/emit/artefact.ts';
import { RuntimeError } from './error.ts';

/** One GPUBuffer to be. `bytes` is padded to 4, and at least 4: WebGPU copies by words and has no empty binding. */
export interface PlannedBuffer {
  readonly kind: Resource['kind'] | 'temporary';
  readonly name: string;
  bytes: number;
}

/** Bytes by kind, as allocated. */
export interface MemoryReport {
  readonly weights: number;
  readonly state: number;
  readonly constants: number;
  readonly inputs: number;
  readonly arenas: number;
  /** Room to stage state updates that read each other. */
  readonly temporaries: number;
  readonly total: number;
}

/** A stretch of a planned buffer. Offsets and sizes in bytes. */
export interface Place {
  readonly key: string;
  readonly offset: number;
  readonly bytes: number;
}

export interface Copy {
  readonly from: Place;
  readonly to: Place;
}

export interface MemoryPlan {
  readonly buffers: ReadonlyMap<string, PlannedBuffer>;
  /** By entry: the copies after its dispatches, in an order in which all of them read old values. */
  readonly copies: ReadonlyMap<string, readonly Copy[]>;
  readonly report: MemoryReport;
}

export const padded = (bytes: number): number => Math.max(4, Math.ceil(bytes / 4) * 4);

/** Elements of a tensor. */
export const countOf = ({ shape }: TensorSpec): number => shape.reduce((product, size) => product * size, 1);

/** Bytes of a tensor on the GPU, unpadded: f16 takes 2 per element, everything else 4 (bool is a u32). */
export const bytesOf = (spec: TensorSpec): number => countOf(spec) * (spec.dtype === 'f16' ? 2 : 4);

const keyOf = (kind: PlannedBuffer['kind'], name: string | number): string => `${kind} ${name}`;

/** Which planned buffer a resource lies in, and where. */
export function placeOf(resource: Resource, buffers: ReadonlyMap<string, PlannedBuffer>): Place {
  const arena = resource.kind === 'arena';
  const key = arena ? keyOf('arena', resource.arena) : keyOf(resource.kind, resource.name);
  const buffer = buffers.get(key);
  if (!buffer) throw badArtefact(`a kernel or output uses ${key}`, 'the manifest does not declare it');
  if (!arena) return { key, offset: 0, bytes: buffer.bytes };
  const place = { key, offset: resource.offset, bytes: padded(resource.size) };
  if (place.offset + place.bytes <= buffer.bytes) return place;
  const range = `${place.offset}..${place.offset + place.bytes}`;
  throw badArtefact(`bytes ${range} of ${key} are used`, `it has ${buffer.bytes} bytes`);
}

/** The artefact contradicts itself: not the user's mistake. */
export function badArtefact(what: string, why: string, where?: string): RuntimeError {
  return new RuntimeError({ code: 'bad-artefact', where, what, why, fix: 'build the model again with ditc build' });
}

/**
 * Plans the buffers for `entries`: all parameters (they are the model), the states, constants and inputs that the entries
 * use, and arenas that the entries share, each as large as the largest needs it.
 */
export function planMemory(manifest: Manifest, entries: readonly string[]): MemoryPlan {
  const buffers = new Map<string, PlannedBuffer>();
  const add = (kind: PlannedBuffer['kind'], name: string | number, bytes: number) => {
    const key = keyOf(kind, name);
    const known = buffers.get(key);
    if (known) known.bytes = Math.max(known.bytes, padded(bytes));
    else buffers.set(key, { kind, name: String(name), bytes: padded(bytes) });
  };
  for (const spec of manifest.params) add('param', spec.name, bytesOf(spec));
  const used = new Set(entries.flatMap((name) => namesUsed(manifest.entries[name])));
  for (const spec of manifest.states) if (used.has(keyOf('state', spec.name))) add('state', spec.name, bytesOf(spec));
  for (const spec of manifest.constants)
    if (used.has(keyOf('constant', spec.name))) add('constant', spec.name, bytesOf(spec));
  const dtypes = new Map<string, string>();
  for (const entry of entries) {
    const { inputs, memory } = manifest.entries[entry];
    for (const spec of inputs) {
      add('input', spec.name, bytesOf(spec));
      const dtype = dtypes.get(spec.name) ?? spec.dtype;
      dtypes.set(spec.name, dtype);
      if (dtype === spec.dtype) continue;
      throw new RuntimeError({
        code: 'mismatch',
        what: `input ${spec.name} is ${spec.dtype} in entry ${entry}, ${dtype} in another`,
        why: 'the entries of a program share their inputs by name',
        fix: 'load the entries as two programs, or rename one of the inputs',
      });
    }
    memory.arenas.forEach((bytes, index) => add('arena', index, bytes));
  }
  const copies = new Map<string, Copy[]>();
  for (const entry of entries) {
    const updates = manifest.entries[entry].updates.map(({ to, from, bytes }) => ({
      from: { ...placeOf(from, buffers), bytes: padded(bytes) },
      to: { ...placeOf(to, buffers), bytes: padded(bytes) },
    }));
    copies.set(
      entry,
      orderCopies(updates, (index, bytes) => {
        add('temporary', index, bytes);
        return keyOf('temporary', index);
      }),
    );
  }
  return { buffers, copies, report: reportOf(buffers) };
}

function namesUsed(entry: EntrySpec): string[] {
  const resources = [
    ...entry.dispatches.flatMap((dispatch) => dispatch.resources),
    ...entry.updates.flatMap(({ to, from }) => [to, from]),
    ...entry.outputs.map((output) => output.resource),
  ];
  return resources.flatMap((r) => (r.kind === 'arena' ? [] : [keyOf(r.kind, r.name)]));
}

/**
 * Copies one after the other that have the effect of copying all at once. One whose target nobody still reads goes first;
 * when every target is read (a swap, a rotation), the old value of one is saved in a temporary.
 */
function orderCopies(updates: readonly Copy[], temporary: (index: number, bytes: number) => string): Copy[] {
  const ordered: Copy[] = [];
  let left = updates.filter(({ to, from }) => to.key !== from.key);
  for (let saved = 0; left.length > 0;) {
    const next = left.find((copy) => !left.some((other) => other.from.key === copy.to.key));
    if (next) {
      ordered.push(next);
      left = left.filter((copy) => copy !== next);
      continue;
    }
    const { key } = left[0].to;
    const bytes = Math.max(...left.filter((copy) => copy.from.key === key).map((copy) => copy.from.bytes));
    const save: Place = { key: temporary(saved++, bytes), offset: 0, bytes };
    ordered.push({ from: { key, offset: 0, bytes }, to: save });
    const redirect = (c: Copy) => (c.from.key === key ? { ...c, from: { ...save, bytes: c.from.bytes } } : c);
    left = left.map(redirect);
  }
  return ordered;
}

function reportOf(buffers: ReadonlyMap<string, PlannedBuffer>): MemoryReport {
  const sum = (kind?: PlannedBuffer['kind']) =>
    [...buffers.values()].reduce((total, b) => (kind === undefined || b.kind === kind ? total + b.bytes : total), 0);
  return {
    weights: sum('param'),
    state: sum('state'),
    constants: sum('constant'),
    inputs: sum('input'),
    arenas: sum('arena'),
    temporaries: sum('temporary'),
    total: sum(),
  };
}

/** `1536` → `1.5 KiB`. */
export function humanBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  const power = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(1, bytes)) / 10));
  return power === 0 ? `${bytes} B` : `${(bytes / 1024 ** power).toFixed(1)} ${units[power]}`;
}

/** What needs what: a few lines for an error message. */
export function memoryTable(plan: MemoryPlan, manifest: Manifest): string {
  const { weights, state, constants, inputs, arenas, temporaries } = plan.report;
  const perEntry = [...plan.copies.keys()].map((name): [string, number] => [
    `  ${name}`,
    manifest.entries[name].memory.arenas.reduce((sum, bytes) => sum + padded(bytes), 0),
  ]);
  const rows: [string, number][] = [
    ['weights', weights],
    ['state', state],
    ['constants', constants],
  ];
  rows.push(['inputs', inputs], ['temporaries', temporaries], ['arenas (shared by the entries)', arenas], ...perEntry);
  const shown = rows.filter(([, bytes]) => bytes > 0);
  const width = Math.max(...shown.map(([label]) => label.length));
  return shown.map(([label, bytes]) => `\n  ${label.padEnd(width)}  ${humanBytes(bytes).padStart(10)}`).join('');
}

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
      const fix = `${build}; it will then do without ${feature}`;
      throw new RuntimeError({ code: 'missing-feature', where, what: `kernel ${name} needs ${feature}`, why, fix });
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
      const place = placeOf(resource, plan.buffers);
      const tensor = resource.kind === 'arena' ? `${bindings[i].name} of ${value}` : place.key;
      if (place.bytes > limits.maxStorageBufferBindingSize) {
        const what = `${tensor} (kernel ${kernel}) binds ${place.bytes} bytes`;
        throw over(what, 'maxStorageBufferBindingSize', `${build}, or with a smaller --batch or --dtype f16`, where);
      }
      if (place.bytes < bindings[i].bytes)
        throw badArtefact(`${tensor} has ${place.bytes} bytes`, `kernel ${kernel} uses ${bindings[i].bytes}`, where);
      if (place.offset % limits.minStorageBufferOffsetAlignment !== 0)
        throw over(`${tensor} starts at byte ${place.offset}`, 'minStorageBufferOffsetAlignment', build, where);
    });
  };
  for (const entry of entries) manifest.entries[entry].dispatches.forEach(checkDispatch);
}

/** The literal sizes of `@workgroup_size(…)`; what is no literal counts as 1 and is left to the shader compiler. */
function workgroupSize(wgsl: string): [number, number, number] {
  const sizes = /@workgroup_size\(([^)]*)\)/.exec(wgsl)?.[1].split(',') ?? [];
  const [x = 1, y = 1, z = 1] = sizes.map((text) => Number(/^\s*(\d+)[iu]?\s*$/.exec(text)?.[1] ?? 1));
  return [x, y, z];
}

/** Buffers whose errors are awaited together: enough to be quick, few enough to stop soon once memory is gone. */
const GROUP = 64;

/**
 * Allocates the plan, zeroed (WebGPU guarantees it).
 * @throws RuntimeError `out-of-memory` with the plan's table; what was allocated by then is destroyed.
 */
export async function allocate(
  device: GPUDevice,
  plan: MemoryPlan,
  manifest: Manifest,
): Promise<Map<string, GPUBuffer>> {
  const made = new Map<string, GPUBuffer>();
  const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
  const planned = [...plan.buffers];
  for (let at = 0; at < planned.length; at += GROUP) {
    device.pushErrorScope('validation');
    device.pushErrorScope('out-of-memory');
    for (const [key, { bytes }] of planned.slice(at, at + GROUP))
      made.set(key, device.createBuffer({ label: key, size: bytes, usage }));
    const [memory, invalid] = await Promise.all([device.popErrorScope(), device.popErrorScope()]);
    const failed = memory ?? invalid;
    if (!failed) continue;
    for (const buffer of made.values()) buffer.destroy();
    throw new RuntimeError({
      code: memory ? 'out-of-memory' : 'gpu-error',
      what: `the device cannot hold ${manifest.model}, which needs ${humanBytes(plan.report.total)}`,
      why: failed.message.trim().split('\n')[0] + memoryTable(plan, manifest),
      fix: 'build with a smaller --batch or --dtype f16, or load fewer entries',
      cause: failed,
    });
  }
  return made;
}
