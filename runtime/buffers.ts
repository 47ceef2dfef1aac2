/**
 * The memory of a program: which buffers it needs, whether the device can hold and bind them, and their allocation. The
 * plan is pure and checked before anything is allocated; after allocation nothing grows.
 */
import type { BundleSpec, EntrySpec, Manifest, PackSpec, Resource, TensorSpec } from '../compiler/emit/artefact.ts';
import { orderCopies } from './copies.ts';
import type { Copy, Place } from './copies.ts';
import { RuntimeError } from './error.ts';

/** One GPUBuffer to be. `bytes` is padded to 4, and at least 4: WebGPU copies by words and has no empty binding. */
export interface PlannedBuffer {
  readonly kind: Resource['kind'] | 'temporary';
  readonly name: string;
  bytes: number;
}

/** Bytes by kind, as allocated. */
export interface MemoryReport {
  /** Parameters, in the types that they are stored in. */
  readonly weights: number;
  /** What entries keep between runs. */
  readonly state: number;
  /** Tables and other dense constants of the model. */
  readonly constants: number;
  readonly inputs: number;
  /** What kernels give each other: entries share it. */
  readonly arenas: number;
  /** Room to stage state updates that read each other. */
  readonly temporaries: number;
  /** All of them. */
  readonly total: number;
}

export interface MemoryPlan {
  readonly buffers: ReadonlyMap<string, PlannedBuffer>;
  /** Where the parameters and states lie that have no buffer of their own: by kind and name, a stretch of their pack's or bundle's. */
  readonly packed: ReadonlyMap<string, Place>;
  /** By entry: the copies after its dispatches, in an order in which all of them read old values. */
  readonly copies: ReadonlyMap<string, readonly Copy[]>;
  readonly report: MemoryReport;
}

export const padded = (bytes: number): number => Math.max(4, Math.ceil(bytes / 4) * 4);

/** Elements of a tensor. */
export const countOf = ({ shape }: TensorSpec): number => shape.reduce((product, size) => product * size, 1);

/** Bytes of an element on the GPU: f16 takes 2, everything else 4 (bool is a u32). */
export const widthOf = (dtype: TensorSpec['dtype']): number => (dtype === 'f16' ? 2 : 4);

/** Bytes of a tensor on the GPU, unpadded. */
export const bytesOf = (spec: TensorSpec): number => countOf(spec) * widthOf(spec.dtype);

const keyOf = (kind: PlannedBuffer['kind'], name: string | number): string => `${kind} ${name}`;

/** Which planned buffer a resource lies in, and where. */
export function placeOf(resource: Resource, { buffers, packed }: Pick<MemoryPlan, 'buffers' | 'packed'>): Place {
  const inPack = resource.kind === 'arena' ? undefined : packed.get(keyOf(resource.kind, resource.name));
  if (inPack) return inPack;
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

/** The stretch that a kernel binds for a resource: it starts with what leads to that. */
export function boundOf(resource: Resource, plan: Pick<MemoryPlan, 'buffers' | 'packed'>): Place {
  const place = placeOf(resource, plan);
  const lead = 'lead' in resource ? (resource.lead ?? 0) : 0;
  if (lead <= place.offset) return { ...place, offset: place.offset - lead, bytes: place.bytes + lead };
  const key = keyOf(resource.kind, resource.kind === 'arena' ? resource.arena : resource.name);
  throw badArtefact(`a kernel binds ${lead} bytes before ${key}`, `${place.offset} lie before it in ${place.key}`);
}

/** Whether a parameter or state has memory: of its own, or in a pack or bundle. */
export const isAllocated = (kind: 'param' | 'state', name: string, { buffers, packed }: MemoryPlan): boolean =>
  buffers.has(keyOf(kind, name)) || packed.has(keyOf(kind, name));

/** The artefact contradicts itself: not the user's mistake. */
export function badArtefact(what: string, why: string, where?: string): RuntimeError {
  return new RuntimeError({ code: 'bad-artefact', where, what, why, fix: 'build the model again with ditc build' });
}

/**
 * Plans the buffers for `entries`: all parameters (they are the model), those of a pack in one buffer, the states, constants and inputs that the entries
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
  const packed = new Map<string, Place>();
  for (const pack of manifest.packs ?? []) {
    const key = keyOf('pack', pack.name);
    if (buffers.has(key)) throw badArtefact(`${key} is declared twice`, 'names of packs are unique');
    add('pack', pack.name, layOut(pack, manifest.params, packed));
  }
  const isPacked = (kind: 'param' | 'state', name: string) => packed.has(keyOf(kind, name));
  for (const spec of manifest.params) if (!isPacked('param', spec.name)) add('param', spec.name, bytesOf(spec));
  const used = new Set(entries.flatMap((name) => namesUsed(manifest.entries[name])));
  // Where no kernel binds the bundle, its states are as others: those that are not used take no memory.
  for (const bundle of manifest.bundles ?? [])
    if (used.has(keyOf('bundle', bundle.name)))
      add('bundle', bundle.name, layOutBundle(bundle, manifest.states, packed));
  for (const spec of manifest.states)
    if (used.has(keyOf('state', spec.name)) && !isPacked('state', spec.name)) add('state', spec.name, bytesOf(spec));
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
  const copies = new Map<string, readonly Copy[]>();
  for (const entry of entries) {
    const place = (resource: Resource, bytes: number): Place => {
      const whole = placeOf(resource, { buffers, packed });
      // In a pack or a bundle the neighbour would be overwritten; past the end of a buffer, WebGPU refuses by itself.
      if ((resource.kind === 'param' || resource.kind === 'state') && bytes > whole.bytes)
        throw badArtefact(
          `an update of ${entry} copies ${bytes} bytes`,
          `${resource.kind} ${resource.name} has ${whole.bytes}`,
        );
      return { ...whole, bytes };
    };
    const updates = manifest.entries[entry].updates.map(({ to, from, bytes }) => {
      return { from: place(from, padded(bytes)), to: place(to, padded(bytes)) };
    });
    copies.set(
      entry,
      orderCopies(updates, (index, bytes) => {
        add('temporary', index, bytes);
        return keyOf('temporary', index);
      }),
    );
  }
  return { buffers, packed, copies, report: reportOf(buffers) };
}

/** Places the parameters of a pack one after the other and returns their bytes together. */
function layOut(pack: PackSpec, params: readonly TensorSpec[], packed: Map<string, Place>): number {
  const key = keyOf('pack', pack.name);
  let offset = 0;
  for (const name of pack.params) {
    const spec = params.find((param) => param.name === name);
    if (!spec) throw badArtefact(`${key} has param ${name}`, 'the manifest does not declare it');
    const other = packed.get(keyOf('param', name));
    if (other) throw badArtefact(`${key} has param ${name}`, `it is in ${other.key} already`);
    const bytes = bytesOf(spec);
    if (bytes === 0) throw badArtefact(`${key} has param ${name}`, 'it has no elements');
    if (offset % 4 !== 0)
      throw badArtefact(
        `param ${name} starts at byte ${offset} of ${key}`,
        'a parameter starts at a multiple of 4 bytes',
      );
    packed.set(keyOf('param', name), { key, offset, bytes: padded(bytes) });
    offset += bytes;
  }
  return offset;
}

/** Places the states of a bundle, each at its alignment, and returns their bytes together. */
function layOutBundle(bundle: BundleSpec, states: readonly TensorSpec[], packed: Map<string, Place>): number {
  const key = keyOf('bundle', bundle.name);
  let offset = 0;
  for (const name of bundle.states) {
    const spec = states.find((state) => state.name === name);
    if (!spec) throw badArtefact(`${key} has state ${name}`, 'the manifest does not declare it');
    const other = packed.get(keyOf('state', name));
    if (other) throw badArtefact(`${key} has state ${name}`, `it is in ${other.key} already`);
    packed.set(keyOf('state', name), { key, offset, bytes: padded(bytesOf(spec)) });
    offset += Math.ceil(bytesOf(spec) / bundle.alignment) * bundle.alignment;
  }
  return offset;
}

function namesUsed(entry: EntrySpec): string[] {
  const resources = [
    ...entry.dispatches.flatMap((dispatch) => dispatch.resources),
    ...entry.updates.flatMap(({ to, from }) => [to, from]),
    ...entry.outputs.map((output) => output.resource),
  ];
  return resources.flatMap((r) => (r.kind === 'arena' ? [] : [keyOf(r.kind, r.name)]));
}

function reportOf(buffers: ReadonlyMap<string, PlannedBuffer>): MemoryReport {
  const sum = (kind?: PlannedBuffer['kind']) =>
    [...buffers.values()].reduce((total, b) => (kind === undefined || b.kind === kind ? total + b.bytes : total), 0);
  return {
    weights: sum('param') + sum('pack'),
    state: sum('state') + sum('bundle'),
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
