/** What a run replays: an entry's pipelines and bind groups in order, then its copies. Made and checked once. */
import type { EntrySpec, Manifest } from '../compiler/emit/artefact.ts';
import { placeOf } from './buffers.ts';
import type { MemoryPlan } from './buffers.ts';
import { RuntimeError } from './error.ts';
import type { Compiled } from './pipelines.ts';

interface Step {
  readonly pipeline: GPUComputePipeline;
  readonly group: GPUBindGroup;
  readonly grid: readonly [number, number, number];
}

type Move = readonly [from: GPUBuffer, fromOffset: number, to: GPUBuffer, toOffset: number, bytes: number];

export interface Replay {
  readonly spec: EntrySpec;
  readonly steps: readonly Step[];
  readonly copies: readonly Move[];
}

/** WebGPU's limit on the queries of a set; a dispatch takes two. */
const MAX_QUERIES = 4096;

/** The planned entries, by name. Equal bind groups are made once. */
export function bind(
  device: GPUDevice,
  manifest: Manifest,
  plan: MemoryPlan,
  buffers: ReadonlyMap<string, GPUBuffer>,
  compiled: ReadonlyMap<string, Compiled>,
): Map<string, Replay> {
  const groups = new Map<string, GPUBindGroup>();
  const replays = new Map<string, Replay>();
  const buffer = (key: string) => buffers.get(key)!;
  for (const [entry, copies] of plan.copies) {
    const spec = manifest.entries[entry];
    const steps = spec.dispatches.map(({ kernel, resources, workgroups }): Step => {
      const { pipeline, layout } = compiled.get(kernel)!;
      const places = resources.map((resource) => placeOf(resource, plan));
      const key = JSON.stringify([layout.label, places]);
      let group = groups.get(key);
      if (!group) {
        const entries = places.map(({ key, offset, bytes }, binding) => {
          return { binding, resource: { buffer: buffer(key), offset, size: bytes } };
        });
        group = device.createBindGroup({ label: kernel, layout, entries });
        groups.set(key, group);
      }
      return { pipeline, group, grid: workgroups };
    });
    const moves = copies.map(({ from, to }): Move => {
      return [buffer(from.key), from.offset, buffer(to.key), to.offset, to.bytes];
    });
    replays.set(entry, { spec, steps, copies: moves });
  }
  return replays;
}

/**
 * Encodes an entry without submitting it, so that a dispatch WebGPU forbids is found here and by name.
 * @throws RuntimeError `bad-artefact`.
 */
export async function validate(device: GPUDevice, name: string, { spec, steps, copies }: Replay): Promise<void> {
  const attempt = async (part: Pick<Replay, 'steps' | 'copies'>) => {
    device.pushErrorScope('validation');
    const encoder = device.createCommandEncoder();
    encode(encoder, part);
    encoder.finish();
    return (await device.popErrorScope())?.message.trim();
  };
  const error = await attempt({ steps, copies });
  if (error === undefined) return;
  for (const [i, step] of steps.entries()) {
    const why = await attempt({ steps: [step], copies: [] });
    const { value, kernel, source } = spec.dispatches[i];
    const what = `${name}: dispatch ${i}, ${value} (kernel ${kernel}), is invalid`;
    if (why !== undefined) throw new RuntimeError({ code: 'bad-artefact', where: source[0], what, why });
  }
  throw new RuntimeError({ code: 'bad-artefact', what: `${name}: its state updates are invalid`, why: error });
}

/** Encodes a run in one pass. */
export function encode(encoder: GPUCommandEncoder, { steps, copies }: Pick<Replay, 'steps' | 'copies'>): void {
  const pass = encoder.beginComputePass();
  encodeSteps(pass, steps);
  pass.end();
  for (const copy of copies) encoder.copyBufferToBuffer(...copy);
}

function encodeSteps(pass: GPUComputePassEncoder, steps: readonly Step[]): void {
  let pipeline: GPUComputePipeline | undefined;
  let group: GPUBindGroup | undefined;
  for (const step of steps) {
    if (step.pipeline !== pipeline) pass.setPipeline((pipeline = step.pipeline));
    if (step.group !== group) pass.setBindGroup(0, (group = step.group));
    pass.dispatchWorkgroups(step.grid[0], step.grid[1], step.grid[2]);
  }
}

/** A run with one pass per dispatch; `read` submits what is encoded and gives the bytes of a buffer then. */
export async function profile(
  device: GPUDevice,
  { steps, copies }: Replay,
  read: (buffer: GPUBuffer, bytes: number, encoder: GPUCommandEncoder) => Promise<Uint8Array>,
): Promise<number[]> {
  const total = steps.length * 2;
  if (total === 0) return [];
  const sets: GPUQuerySet[] = [];
  for (let at = 0; at < total; at += MAX_QUERIES)
    sets.push(device.createQuerySet({ type: 'timestamp', count: Math.min(MAX_QUERIES, total - at) }));
  const usage = GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC;
  const resolved = device.createBuffer({ size: total * 8, usage });
  const encoder = device.createCommandEncoder();
  steps.forEach((step, i) => {
    const [querySet, first] = [sets[Math.floor((2 * i) / MAX_QUERIES)], (2 * i) % MAX_QUERIES];
    const writes = { querySet, beginningOfPassWriteIndex: first, endOfPassWriteIndex: first + 1 };
    const pass = encoder.beginComputePass({ timestampWrites: writes });
    encodeSteps(pass, [step]);
    pass.end();
  });
  for (const copy of copies) encoder.copyBufferToBuffer(...copy);
  sets.forEach((set, i) => encoder.resolveQuerySet(set, 0, set.count, resolved, i * MAX_QUERIES * 8));
  try {
    const times = new BigUint64Array((await read(resolved, total * 8, encoder)).buffer as ArrayBuffer);
    // Some drivers' clocks step back now and then.
    return steps.map((_, i) => Math.max(0, Number(times[2 * i + 1] - times[2 * i])));
  } finally {
    resolved.destroy();
    for (const set of sets) set.destroy();
  }
}
