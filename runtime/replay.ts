/** What a run replays: an entry's pipelines and bind groups in order, then its copies. Made and checked once. */
import type { EntrySpec, Manifest, Resource } from '../compiler/emit/artefact.ts';
import { boundOf } from './buffers.ts';
import type { MemoryPlan } from './buffers.ts';
import { RuntimeError } from './error.ts';
import type { Compiled } from './pipelines.ts';

/** A dispatch with all that it binds. */
export interface Step {
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

/** A stretch of a buffer, in bytes. */
export interface Stretch {
  readonly buffer: GPUBuffer;
  readonly offset: number;
  readonly bytes: number;
}

/** What a kernel binds, in order. */
export const groupOf = (device: GPUDevice, label: string, layout: GPUBindGroupLayout, bound: readonly Stretch[]) =>
  device.createBindGroup({
    label,
    layout,
    entries: bound.map(({ buffer, offset, bytes }, binding) => ({
      binding,
      resource: { buffer, offset, size: bytes },
    })),
  });

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
      const places = resources.map((resource) => boundOf(resource, plan));
      const key = JSON.stringify([layout.label, places]);
      const made =
        groups.get(key) ??
        groupOf(
          device,
          kernel,
          layout,
          places.map((place) => ({ ...place, buffer: buffer(place.key) })),
        );
      groups.set(key, made);
      return { pipeline, group: made, grid: workgroups };
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

export function encodeSteps(pass: GPUComputePassEncoder, steps: readonly Step[]): void {
  let pipeline: GPUComputePipeline | undefined;
  let group: GPUBindGroup | undefined;
  for (const step of steps) {
    if (step.pipeline !== pipeline) pass.setPipeline((pipeline = step.pipeline));
    if (step.group !== group) pass.setBindGroup(0, (group = step.group));
    pass.dispatchWorkgroups(step.grid[0], step.grid[1], step.grid[2]);
  }
}

/** Whether entries other than `entry` may write where an output of it lies: in an arena, or in state that it shows. */
export function mayOverwrite(manifest: Manifest, entries: readonly string[], entry: string, output: Resource): boolean {
  if (output.kind === 'arena') return true;
  return entries.some((other) => {
    const { changes } = manifest.entries[other];
    return other !== entry && changes.some(({ kind, name }) => kind === output.kind && name === output.name);
  });
}
