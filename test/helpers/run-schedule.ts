/**
 * A graph compiled and run in this process, dispatch by dispatch, in memory laid out as the plan says: what a kernel reads
 * is what lies there. With nothing of a device in it, any spec will do, and every access can be looked at.
 */
import { buildArtefact } from '../../compiler/emit/build.ts';
import type { Dispatch, Resource } from '../../compiler/emit/artefact.ts';
import { regionGraph } from '../../compiler/emit/region-graph.ts';
import { byteSize, sizeOf, type Graph, type Node } from '../../compiler/ir/index.ts';
import type { Kernel } from '../../compiler/kernel/ir.ts';
import { lower } from '../../compiler/plans/lower.ts';
import { interpret, type Bindings } from '../../compiler/ops/index.ts';
import { scheduleAll, type CompileOptions, type Scheduled } from '../../compiler/pipeline.ts';
import {
  bindingsOf,
  boundType,
  isBundle,
  isOfStates,
  operandsOf,
  type Bound,
  type BoundParts,
  type Region,
} from '../../compiler/fusion/regions.ts';
import { runKernel } from './run-kernel.ts';
import { checkUsage } from './usage.ts';

export interface Ran {
  readonly scheduled: Scheduled;
  readonly dispatches: readonly Dispatch[];
  /** Those of what runs before: turns of loops, tables. */
  readonly inParts: readonly Dispatch[];
  readonly outputs: Readonly<Record<string, Float64Array>>;
  /** New values of what is updated. */
  readonly updates: Readonly<Record<string, Float64Array>>;
}

export interface RunOptions extends CompileOptions {
  /** Numbers that kernels round to f16 stay as they are. */
  readonly exact?: boolean;
  /** Another plan for a kernel, once it is decided what it computes. */
  readonly replan?: (which: number) => Scheduled['regions'][number]['plan'] | undefined;
}

/**
 * `kernels`: runs what is emitted, as kernel IR; else the graph of each region, by the interpreter. What nobody wrote is NaN.
 */
export function runSchedule(graph: Graph, bindings: Bindings, options: RunOptions, kernels = true): Ran {
  const { replan = () => undefined } = options;
  const parts = scheduleAll([graph], options).map((part): Scheduled => {
    return { ...part, regions: part.regions.map(({ region, plan }, i) => ({ region, plan: replan(i) ?? plan })) };
  });
  const whole = parts.length - 1;
  const values = { ...bindings };
  for (const { state } of parts.slice(0, whole).flatMap(({ traced }) => traced.updates))
    values[String(state.attrs.name)] = new Float64Array(sizeOf(state.type.shape)).fill(NaN);
  const ready = parts.map((part, i) => readyPart(part, i === whole ? graph : part.traced, options, kernels));
  const run = (which: number): PartRun => {
    const { name } = parts[which].traced;
    parts.forEach(({ traced: { part } }, i) => {
      if (part?.of === name) for (let turn = 0; turn < part.times; turn++) run(i);
    });
    const ran = ready[which].run(values);
    if (which < whole) Object.assign(values, ran.updates);
    return ran;
  };
  // What passes took out of it fills tables, and runs before.
  for (const [i, { traced }] of parts.entries()) if (i < whole && !traced.part) run(i);
  const dispatches = ready.map((part) => part.dispatches);
  return { scheduled: parts[whole], dispatches: dispatches[whole], inParts: dispatches.slice(0, -1).flat(), ...run(whole) }; // prettier-ignore
}

type PartRun = Pick<Ran, 'outputs' | 'updates'>;

interface ReadyPart {
  readonly dispatches: readonly Dispatch[];
  run(bindings: Bindings): PartRun;
}

function readyPart(scheduled: Scheduled, graph: Graph, options: RunOptions, kernels: boolean): ReadyPart {
  const entry = { name: graph.name, ...scheduled, params: [], states: [] };
  const { manifest } = buildArtefact({ name: 'graph', source: '', device: options.device, entries: [entry] });
  const { dispatches, outputs, updates, memory } = manifest.entries[graph.name];
  dispatches.forEach((dispatch) => checkUsage(dispatch, manifest));
  const lowered = new Map<string, Kernel>();
  const kernelOf = ({ kernel }: Dispatch, i: number): Kernel => {
    if (!lowered.has(kernel))
      lowered.set(kernel, lower(scheduled.regions[i].region, scheduled.regions[i].plan, options.device));
    return lowered.get(kernel)!;
  };
  const compute = (dispatch: Dispatch, i: number, space: Memory) => {
    const { region } = scheduled.regions[i];
    const leadOf = (binding: Node | Bound) => (isBundle(binding) ? 0 : (region.leads.get(binding) ?? 0));
    const places = bindingsOf(region).map((binding, at) =>
      isBundle(binding)
        ? space.bundle(binding)
        : after(leadOf(binding), space.at(dispatch.resources[at], binding, boundType(binding, region))),
    );
    if (kernels) runKernel(kernelFor(kernelOf(dispatch, i), dispatch, places), places, options);
    else runRegion(region, places);
    bindingsOf(region).forEach((binding, at) => {
      const lead = leadOf(binding);
      if (places[at].subarray(0, lead).some((x) => !Number.isNaN(x))) throw new Error('a neighbour was overwritten');
      if (isBundle(binding)) space.unbundle(binding, places[at], dispatch.resources[at]);
      else if (region.results.some(({ node }) => node === binding))
        space.store(dispatch.resources[at], binding, places[at].subarray(lead));
    });
  };
  const run = (bindings: Bindings): PartRun => {
    const space = new Memory(memory.arenas, bindings, scheduled.graph);
    dispatches.forEach((dispatch, i) => compute(dispatch, i, space));
    // The copies have the effect of happening all at once.
    const copied = updates.map(({ from, to, bytes }) => {
      const { node } = updateOf(scheduled.graph, to);
      if (byteSize(node.type) !== bytes) throw new Error(`${bytes} bytes of ${byteSize(node.type)} are copied`);
      return space.at(from, node).slice();
    });
    updates.forEach(({ to }, i) => space.at(to, updateOf(graph, to).state).set(copied[i]));
    const valueOf = (node: Node, resource: Resource) => [...space.at(resource, node)];
    return {
      outputs: Object.fromEntries(
        outputs.map(({ name, resource }, i) => [
          name,
          Float64Array.from(valueOf(scheduled.graph.outputs[i].node, resource)),
        ]),
      ),
      updates: Object.fromEntries(
        graph.updates.map(({ state }) => [String(state.attrs.name), space.named(String(state.attrs.name))]),
      ),
    };
  };
  return { dispatches, run };
}

/** The update of the state (or parameter) that lies at a resource. */
const updateOf = ({ updates }: Graph, resource: Resource): Graph['updates'][number] =>
  updates.find(({ state: { attrs } }) => resource.kind !== 'arena' && attrs.name === resource.name)!;

/** A kernel that dispatches share, for the grid and lengths of arrays of one of them (compiler/emit/sharing.ts). */
function kernelFor(kernel: Kernel, { workgroups }: Dispatch, places: readonly Float64Array[]): Kernel {
  kernel.buffers.forEach((buffer: { elements: number }, i) => (buffer.elements = places[i].length));
  return { ...kernel, grid: workgroups };
}

/** What a kernel binds of a value that others lie before: nobody is to read these, so they are NaN. */
function after(lead: number, values: Float64Array): Float64Array {
  if (!lead) return values;
  const bound = new Float64Array(lead + values.length).fill(NaN);
  bound.set(values, lead);
  return bound;
}

/** A region by the interpreter: its values from the memory that its kernel would bind, and back into it. */
function runRegion(region: Region, places: readonly Float64Array[]): void {
  const graph = regionGraph(region);
  const placeOf = new Map<Node, Float64Array>();
  for (const [i, binding] of bindingsOf(region).entries()) {
    if (!isBundle(binding)) placeOf.set(binding, places[i].subarray(region.leads.get(binding) ?? 0));
    else
      for (const [node, { offset }] of binding.parts)
        placeOf.set(node, places[i].subarray(offset, offset + sizeOf(node.type.shape)));
  }
  for (const [node, old] of region.replaces) placeOf.set(old, placeOf.get(node)!);
  const operands = operandsOf(region).map((node) => placeOf.get(node)!.slice());
  const given = operands.map((values, i) => [String(graph.inputs[i].attrs.name), values]);
  const { outputs } = interpret(graph, Object.fromEntries(given));
  graph.outputs.forEach(({ name }, i) => placeOf.get(region.results[i].node)!.set(outputs[name].data));
}

/** Bytes that an arena has a number for: one of f16; one of f32 has two, of which the second is left alone. */
const HALF = 2;

class Memory {
  private readonly arenas: readonly Float64Array[];
  private readonly values = new Map<string, Float64Array>();
  private readonly constants = new Map<Node, Float64Array>();

  constructor(
    arenas: readonly number[],
    private readonly bindings: Bindings,
    graph: Graph,
  ) {
    this.arenas = arenas.map((bytes) => new Float64Array(bytes / HALF).fill(NaN));
    for (const name of Object.keys(bindings)) this.values.set(name, Float64Array.from(bindings[name]));
    for (const { state } of graph.updates) if (!this.values.has(String(state.attrs.name))) throw new Error('no value');
  }

  named(name: string): Float64Array {
    return this.values.get(name)!;
  }

  /** What a value is: its own memory, or a copy of what lies in an arena. */
  at(resource: Resource, node: Node, type = node.type): Float64Array {
    const apart = byteSize(type) / sizeOf(type.shape) / HALF;
    const values =
      resource.kind === 'arena'
        ? this.halves(resource).filter((_, i) => i % apart === 0)
        : this.stretch(resource, node);
    if (values.length !== sizeOf(type.shape)) throw new Error(`${node.op} of ${byteSize(type)} bytes`);
    return values;
  }

  /** Writes back what a dispatch has made of a copy. */
  store(resource: Resource, node: Node, values: Float64Array): void {
    if (resource.kind !== 'arena') return void this.stretch(resource, node).set(values);
    const halves = this.halves(resource);
    values.forEach((value, i) => (halves[(i * halves.length) / values.length] = value));
  }

  /** A copy of the states of a bundle, side by side; what lies between them is NaN. So are parts, before they are written. */
  bundle(bound: Bound): Float64Array {
    const whole = new Float64Array(bound.elements).fill(NaN);
    if (isOfStates(bound)) for (const { state, offset } of bound.parts.values()) whole.set(this.named(state), offset);
    return whole;
  }

  unbundle(bound: Bound, whole: Float64Array, resource: Resource): void {
    if (!isOfStates(bound)) return this.storeParts(bound, whole, resource);
    for (const { state, offset } of bound.parts.values())
      this.named(state).set(whole.subarray(offset, offset + this.named(state).length));
  }

  /** Of what a kernel has bound as one, the parts that it writes: all else there is to be as it was. */
  private storeParts({ parts, lead }: BoundParts, whole: Float64Array, resource: Resource): void {
    if (resource.kind !== 'arena') throw new Error(`parts lie in ${resource.name}`);
    const written = new Set<number>();
    for (const [node, { offset }] of parts) {
      const count = sizeOf(node.type.shape);
      const size = byteSize(node.type);
      const from = resource.offset + (offset * size) / count - lead;
      this.store(
        { kind: 'arena', arena: resource.arena, offset: from, size },
        node,
        whole.subarray(offset, offset + count),
      );
      for (let i = 0; i < count; i++) written.add(offset + i);
    }
    if (whole.some((x, i) => !written.has(i) && !Number.isNaN(x))) throw new Error('a neighbour was overwritten');
  }

  private halves({ arena, offset, size }: Extract<Resource, { kind: 'arena' }>): Float64Array {
    return this.arenas[arena].subarray(offset / HALF, (offset + size) / HALF);
  }

  private stretch(resource: Exclude<Resource, { kind: 'arena' }>, node?: Node): Float64Array {
    if (resource.kind === 'constant') return this.constant(node!);
    if (resource.kind === 'pack') return this.pack(node!);
    return this.values.get(resource.name)!;
  }

  private constant(node: Node): Float64Array {
    const { data, value } = node.attrs;
    const made = () => (data instanceof Float64Array ? data.slice() : this.filled(node, Number(value)));
    const values = this.constants.get(node) ?? made();
    this.constants.set(node, values);
    return values;
  }

  private filled = ({ type }: Node, value: number) => new Float64Array(sizeOf(type.shape)).fill(value);

  private pack(node: Node): Float64Array {
    const graph = { name: 'pack', inputs: [], outputs: [{ name: 'pack', node }], updates: [] };
    return Float64Array.from(interpret(graph, this.bindings).outputs.pack.data);
  }
}
