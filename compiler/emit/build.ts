/** Scheduled entries become an artefact in memory: kernels deduplicated, buffers resolved, costs counted. */
import { resolveGradients } from '../autodiff/resolve.ts';
import {
  byteSize,
  foldName,
  formatType,
  isDeviceName,
  nodesOf,
  sizeOf,
  type Graph,
  type Node,
  type Remarks,
} from '../ir/index.ts';
import { opDef } from '../ops/index.ts';
import { lower } from '../kernel/lower.ts';
import type { Kernel } from '../kernel/ir.ts';
import type { Init } from '../dsl/init.ts';
import type {
  Artefact,
  BundleSpec,
  Dispatch,
  EntrySpec,
  InitSpec,
  InputSpec,
  KernelSpec,
  PackSpec,
  ParamSpec,
  Resource,
  TensorSpec,
} from './artefact.ts';
import { ALIGNMENT, type MemoryPlan } from '../memory/plan.ts';
import { isPack } from '../rewrite/packs.ts';
import { bindingsOf, isBundle, type Bound, type Region } from '../schedule/regions.ts';
import { windowOffset } from '../schedule/windows.ts';
import { bytesRead, headerOf, kernelName, macsOf, opsOf, placesOf, type Use } from './describe.ts';
import { inputRanges } from './input-range.ts';
import { signatureOf } from './signature.ts';
import type { StartedBy } from './starts.ts';
import { fingerprint, forBoth } from './sharing.ts';
import { featuresOf, printKernel } from './wgsl.ts';

/** One compiled entry, as the emitter takes it. */
export interface EntryInput {
  readonly name: string;
  /** The graph as traced, before any pass: what MACs are counted on. */
  readonly traced: Graph;
  readonly graph: Graph;
  readonly regions: readonly Use[];
  readonly memory: MemoryPlan;
  /** Values written straight into the state that they update. */
  readonly homes: ReadonlyMap<Node, Node>;
  readonly recomputedMacs: number;
  readonly remarks: Remarks;
  readonly params: readonly Declared[];
  readonly states: readonly Declared[];
  /** The entry to run before. */
  readonly prelude?: string;
  /** What it goes on from. */
  readonly startedBy?: StartedBy;
}

export interface Declared {
  readonly node: Node;
  readonly init: Init;
}

export interface ModelInput {
  readonly name: string;
  readonly source: string;
  readonly device: string;
  readonly entries: readonly EntryInput[];
  /** Other names of a parameter in checkpoints. */
  readonly aliases?: (name: string) => readonly string[];
  /** Parameters of the model that none of the entries reads. */
  readonly otherParams?: readonly string[];
  /** What the entries were traced with. */
  readonly options?: Readonly<Record<string, unknown>>;
}

/** Where values lie. */
type Places = Pick<EntryInput, 'memory' | 'homes'>;

interface Emitted {
  readonly name: string;
  kernel: Kernel;
  readonly uses: Use[];
}

/** A kernel as one region has it: the grid is the region's own. */
interface Lowered {
  readonly emitted: Emitted;
  readonly grid: Kernel['grid'];
}

export function buildArtefact(model: ModelInput): Artefact {
  const emitter = new Emitter();
  const entries: Record<string, EntrySpec> = {};
  for (const entry of model.entries) entries[entry.name] = emitter.entry(entry);
  const kernels: Record<string, KernelSpec> = {};
  const wgsl = new Map<string, string>();
  for (const { name, kernel, uses } of emitter.kernels) {
    wgsl.set(name, printKernel(kernel, headerOf(name, uses)));
    kernels[name] = {
      file: `kernels/${name}.wgsl`,
      bindings: kernel.buffers.map((b) => ({
        name: b.name,
        access: b.access,
        bytes: b.elements * (b.dtype === 'f16' ? 2 : 4),
      })),
      plan: { ...uses[0].plan },
      features: featuresOf(kernel),
      // A kernel of subgroups is one subgroup a workgroup.
      ...(kernel.usesSubgroups && { subgroup: kernel.workgroupSize }),
    };
  }
  const params = declare(
    model.entries.flatMap((e) => e.params),
    emitter.data,
    model.aliases,
  );
  const states = declare(
    model.entries.flatMap((e) => e.states),
    emitter.data,
  );
  const { name, source, device } = model;
  const constants = [...emitter.constants.values()];
  const packs = [...emitter.packs.values()];
  const bundles = [...emitter.bundles.values()];
  const manifest = {
    format: 1 as const,
    model: name,
    source,
    device,
    ...(model.options && { options: model.options }),
    entries,
    kernels,
    params,
    ...(model.otherParams?.length && { otherParams: model.otherParams.map((n) => named(n, model.aliases)) }),
    states,
    packs,
    ...(bundles.length && { bundles }),
    constants,
  };
  return { manifest, wgsl, data: emitter.data };
}

class Emitter {
  /** By fingerprint. */
  private readonly emitted = new Map<string, Emitted>();
  /** By signature. */
  private readonly lowered = new Map<string, Lowered>();
  /** Dense constants by content. */
  readonly constants = new Map<string, TensorSpec>();
  readonly data = new Map<string, Float32Array | Int32Array | Uint32Array>();
  /** By their parameters. */
  readonly packs = new Map<string, PackSpec>();
  /** By their states. */
  readonly bundles = new Map<string, BundleSpec>();
  /** Of kernels, as a file system that does not tell case apart sees them. */
  private readonly names = new Set<string>();

  entry(entry: EntryInput): EntrySpec {
    const { graph, regions, memory, homes } = entry;
    const places: Places = { memory, homes };
    const dispatches = regions.map((use) => this.dispatch(use, places));
    const outputs = graph.outputs.map(({ name, node }) => ({
      ...tensorSpec(name, node),
      resource: this.resource(node, places),
    }));
    const copied = graph.updates.filter(({ state, node }) => homes.get(node) !== state);
    const updates = copied.map(({ state, node }) => ({
      to: this.resource(state, places),
      from: this.resource(node, places),
      bytes: byteSize(state.type),
    }));
    const ranges = inputRanges(entry.traced);
    const bytes = (list: readonly Declared[]) => list.reduce((sum, p) => sum + byteSize(p.node.type), 0);
    return {
      inputs: graph.inputs.map((n) => inputSpec(n, ranges)),
      outputs,
      macs: macsOfGraph(resolveGradients(entry.traced)),
      paramCount: entry.params.reduce((sum, p) => sum + sizeOf(p.node.type.shape), 0),
      dispatches,
      updates,
      changes: graph.updates.map(({ state }) => ({
        kind: state.op as 'param' | 'state',
        name: String(state.attrs.name),
      })),
      ...(entry.prelude && { prelude: entry.prelude }),
      ...(entry.startedBy && Object.keys(entry.startedBy).length && { startedBy: entry.startedBy }),
      memory: {
        weightBytes: bytes(entry.params),
        stateBytes: bytes(entry.states),
        activationPeakBytes: memory.peakBytes,
        activationLowerBoundBytes: memory.lowerBoundBytes,
        arenas: memory.arenas,
        ...(entry.recomputedMacs && { recomputedMacs: entry.recomputedMacs }),
      },
    };
  }

  private dispatch(use: Use, places: Places): Dispatch {
    const { region } = use;
    const { emitted, grid } = this.kernel(use);
    return {
      kernel: emitted.name,
      workgroups: grid,
      macs: macsOf(region),
      bytesRead: bytesRead(region),
      bytesWritten: region.results.reduce((sum, { node }) => sum + byteSize(node.type), 0),
      value: kernelName(region),
      type: formatType(region.root.type),
      ops: opsOf(region, { views: true }),
      source: placesOf(region),
      resources: bindingsOf(region).map((binding) =>
        isBundle(binding) ? this.bundle(binding) : this.bound(binding, region, places),
      ),
    };
  }

  get kernels(): Iterable<Emitted> {
    return this.emitted.values();
  }

  private kernel(use: Use): Lowered {
    const signature = signatureOf(use.region, use.plan);
    const lowered = this.lowered.get(signature) ?? this.lower(use);
    this.lowered.set(signature, lowered);
    lowered.emitted.uses.push(use);
    return lowered;
  }

  private lower({ region, plan }: Use): Lowered {
    const kernel = lower(region, plan);
    const key = fingerprint(kernel);
    const known = this.emitted.get(key);
    if (known) known.kernel = forBoth(known.kernel, kernel);
    const emitted = known ?? { name: this.fresh(kernelName(region)), kernel, uses: [] };
    this.emitted.set(key, emitted);
    return { emitted, grid: kernel.grid };
  }

  private fresh(base: string): string {
    let name = base;
    for (let i = 2; this.names.has(foldName(name)) || isDeviceName(name); i++) name = `${base}_${i}`;
    this.names.add(foldName(name));
    return name;
  }

  private resource(node: Node, places: Places): Resource {
    const { memory, homes } = places;
    const place = memory.places.get(node);
    if (place) return { kind: 'arena', arena: place.arena, offset: place.offset, size: place.size };
    const home = homes.get(node);
    if (home) return { kind: home.op as 'param' | 'state', name: String(home.attrs.name) };
    if (node.op === 'constant') return { kind: 'constant', name: this.constant(node) };
    if (isPack(node)) return { kind: 'pack', name: this.pack(node) };
    if (opDef(node.op).kind === 'view') return this.view(node, places);
    return { kind: node.op as 'param' | 'state' | 'input', name: String(node.attrs.name) };
  }

  /** The stretch that a kernel reads of an intermediate value, or of several that are one whole. */
  private view(node: Node, places: Places): Resource {
    const from = this.resource(node.inputs[0], places);
    return partOf(from, windowOffset(node) ?? 0, byteSize(node.type));
  }

  /** What a kernel binds of a value. */
  private bound(node: Node, region: Region, places: Places): Resource {
    const from = this.resource(node, places);
    const span = region.spans.get(node);
    if (!span) return from;
    const entryBytes = byteSize(node.type) / node.type.shape[0];
    return partOf(from, span.start * entryBytes, span.size * entryBytes);
  }

  private pack(node: Node): string {
    const params = node.inputs.map((n) => String(n.attrs.name));
    const key = params.join(' ');
    const spec = this.packs.get(key) ?? { name: `pack.${this.packs.size}`, params };
    this.packs.set(key, spec);
    return spec.name;
  }

  private bundle({ states }: Bound): Resource {
    const key = states.join(' ');
    const spec = this.bundles.get(key) ?? { name: `bundle.${this.bundles.size}`, states, alignment: ALIGNMENT };
    this.bundles.set(key, spec);
    return { kind: 'bundle', name: spec.name };
  }

  private constant(node: Node): string {
    const data = node.attrs.data as Float64Array;
    const key = `${node.type.dtype}[${node.type.shape}] ${data.join(' ')}`;
    let spec = this.constants.get(key);
    if (!spec) {
      spec = tensorSpec(`constant.${this.constants.size}`, node);
      this.constants.set(key, spec);
      this.data.set(spec.name, typedData(node, data));
    }
    return spec.name;
  }
}

function partOf(from: Resource, offset: number, bytes: number): Resource {
  if (from.kind !== 'arena') throw new Error(`${from.name}: no part of it can be bound`);
  return { ...from, offset: from.offset + offset, size: bytes };
}

const tensorSpec = (name: string, { type }: Node): TensorSpec => ({ name, shape: type.shape, dtype: type.dtype });

function inputSpec(node: Node, ranges: ReturnType<typeof inputRanges>): InputSpec {
  const spec = tensorSpec(String(node.attrs.name), node);
  const range = ranges.get(spec.name);
  return range ? { ...spec, range } : spec;
}

function typedData(node: Node, data: Float64Array): Float32Array | Int32Array | Uint32Array {
  if (node.type.dtype === 'i32') return Int32Array.from(data);
  if (node.type.dtype === 'u32' || node.type.dtype === 'bool') return Uint32Array.from(data);
  return Float32Array.from(data);
}

/** Multiply-accumulates as the DiT paper counts them (spec/dit.md section 3). */
export function macsOfGraph(graph: Graph): number {
  return nodesOf(graph).reduce(
    (sum, n) =>
      sum +
      opDef(n.op).cost(
        n.inputs.map((x) => x.type),
        n.attrs,
        n.type,
      ).macs,
    0,
  );
}

/** Parameters (or states) of all entries, each once. */
function declare(
  declared: readonly Declared[],
  data: Map<string, Float32Array | Int32Array | Uint32Array>,
  aliasesOf?: ModelInput['aliases'],
): ParamSpec[] {
  const specs = new Map<string, ParamSpec>();
  for (const { node, init } of declared) {
    const name = String(node.attrs.name);
    if (specs.has(name)) continue;
    const { count } = node.attrs;
    const counted = typeof count === 'number' && { count };
    specs.set(name, { ...tensorSpec(name, node), init: initSpec(init), ...named(name, aliasesOf), ...counted });
    if (init.kind === 'data') data.set(`init.${name}`, typedData(node, init.data));
  }
  return [...specs.values()];
}

/** A parameter's name and, if it has any, its other names. */
function named(name: string, aliasesOf: ModelInput['aliases']): { name: string; aliases?: readonly string[] } {
  const aliases = aliasesOf?.(name) ?? [];
  return aliases.length ? { name, aliases } : { name };
}

const initSpec = (init: Init): InitSpec => (init.kind === 'data' ? { kind: 'file' } : init);
