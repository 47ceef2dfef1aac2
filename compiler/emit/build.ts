/** Scheduled entries become an artefact in memory: kernels deduplicated, buffers resolved, costs counted. */
import { resolveGradients } from '../autodiff/resolve.ts';
import {
  byteSize,
  bytesPerElement,
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
import type { DeviceSpec } from '../device.ts';
import { lower } from '../plans/lower.ts';
import { familyOf } from '../plans/registry.ts';
import type { Kernel } from '../kernel/ir.ts';
import type { Artefact, Dispatch, EntrySpec, KernelSpec, Manifest } from './artefact.ts';
import { bindingsOf, isBundle } from '../fusion/regions.ts';
import { declare, named, tensorSpec, type Naming, type Declared } from './declare.ts';
import { bytesRead, bytesWritten, headerOf, kernelName, macsOf, opsOf, placesOf, type Use } from './describe.ts';
import { inputSpecs } from './input-range.ts';
import { Resources, type Places } from './resources.ts';
import { signatureOf } from './signature.ts';
import { statesSetAnew, type StartedBy } from './starts.ts';
import { fingerprint, forBoth } from './sharing.ts';
import { featuresOf, matrixShapesOf, printKernel } from '../target/wgsl.ts';

/** One compiled entry, as the emitter takes it. */
export interface EntryInput extends Places {
  readonly name: string;
  /** The graph as traced, before any pass: what MACs are counted on. */
  readonly traced: Graph;
  /** Of inputs that are classes, how many there are, by name. */
  readonly classes?: ReadonlyMap<string, number>;
  readonly graph: Graph;
  readonly regions: readonly Use[];
  readonly recomputedMacs: number;
  readonly remarks: Remarks;
  readonly params: readonly Declared[];
  readonly states: readonly Declared[];
  /** The entry to run before. */
  readonly prelude?: string;
  /** What it consists of besides. */
  readonly parts?: EntrySpec['parts'];
  /** What it goes on from. */
  readonly startedBy?: StartedBy;
}

export interface ModelInput {
  readonly name: string;
  readonly source: string;
  readonly device: DeviceSpec;
  readonly entries: readonly EntryInput[];
  /** How checkpoints name parameters. */
  readonly naming?: Naming;
  /** What files in other layouts must agree on with the model. */
  readonly layouts?: Manifest['layouts'];
  /** Parameters of the model that none of the entries reads. */
  readonly otherParams?: readonly string[];
  /** What the entries were traced with. */
  readonly options?: Readonly<Record<string, unknown>>;
}

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

/** Whether a region's contraction multiplies f16. */
const isOfHalves = ({ anchor }: Use['region']): boolean =>
  anchor !== undefined &&
  anchor.inputs.slice(0, opDef(anchor.op).factors ?? 0).some(({ type }) => type.dtype === 'f16');

export function buildArtefact(model: ModelInput): Artefact {
  const emitter = new Emitter(model.device);
  const entries: Record<string, EntrySpec> = {};
  for (const entry of model.entries) entries[entry.name] = withParts(emitter.entry(entry), entries);
  const kernels: Record<string, KernelSpec> = {};
  const wgsl = new Map<string, string>();
  for (const { name, kernel, uses } of emitter.kernels) {
    const written = kernelText(name, kernel, uses);
    wgsl.set(name, written.wgsl);
    kernels[name] = written.spec;
  }
  const params = declare(
    model.entries.flatMap((e) => e.params),
    emitter.resources.data,
    model.naming,
  );
  const states = declare(
    model.entries.flatMap((e) => e.states),
    emitter.resources.data,
  );
  const { name, source, device } = model;
  const constants = [...emitter.resources.constants.values()];
  const packs = [...emitter.resources.packs.values()];
  const bundles = [...emitter.resources.bundles.values()];
  const manifest = {
    format: 1 as const,
    model: name,
    source,
    device: device.name,
    ...(model.options && { options: model.options }),
    entries,
    kernels,
    params,
    ...(model.otherParams?.length && { otherParams: model.otherParams.map((n) => named(n, model.naming)) }),
    ...(model.layouts && { layouts: model.layouts }),
    states,
    packs,
    ...(bundles.length && { bundles }),
    constants,
  };
  return { manifest, wgsl, data: emitter.resources.data };
}

/** A kernel as the runtime takes it. */
export function kernelText(name: string, kernel: Kernel, uses: readonly Use[]): { spec: KernelSpec; wgsl: string } {
  const bindings = kernel.buffers.map((b) => {
    return { name: b.name, access: b.access, bytes: b.elements * bytesPerElement(b.dtype) };
  });
  const matrix = matrixShapesOf(kernel);
  const spec = {
    file: `kernels/${name}.wgsl`,
    bindings,
    plan: { ...uses[0].plan },
    features: featuresOf(kernel),
    // A kernel of subgroups is one subgroup a workgroup.
    ...(kernel.usesSubgroups && { subgroup: kernel.subgroupSize ?? kernel.workgroupSize }),
    ...(matrix.length && { matrix }),
    ...(isOfHalves(uses[0].region) && { multiplies: 'f16' as const }),
  };
  return { spec, wgsl: printKernel(kernel, headerOf(name, uses)) };
}

/** What all of an entry takes; its parts come before it. */
function withParts(spec: EntrySpec, entries: Readonly<Record<string, EntrySpec>>): EntrySpec {
  const macs = (spec.parts ?? []).reduce((sum, { entry, times }) => sum + times * entries[entry].macs, spec.macs);
  return { ...spec, macs };
}

class Emitter {
  /** By fingerprint. */
  private readonly emitted = new Map<string, Emitted>();
  /** By signature. */
  private readonly lowered = new Map<string, Lowered>();
  readonly resources = new Resources();
  /** Of kernels, as a file system that does not tell case apart sees them. */
  private readonly names = new Set<string>();

  constructor(private readonly device: DeviceSpec) {}

  entry(entry: EntryInput): EntrySpec {
    const { graph, regions, memory, homes } = entry;
    const dispatches = regions.map((use) => this.dispatch(use, entry));
    const outputs = graph.outputs.map(({ name, node }) => ({
      ...tensorSpec(name, node),
      resource: this.resources.of(node, entry),
    }));
    const copied = graph.updates.filter(({ state, node }) => homes.get(node) !== state);
    const updates = copied.map(({ state, node }) => ({
      to: this.resources.of(state, entry),
      from: this.resources.of(node, entry),
      bytes: byteSize(state.type),
    }));
    const anew = statesSetAnew(entry.traced);
    const bytes = (list: readonly Declared[]) => list.reduce((sum, p) => sum + byteSize(p.node.type), 0);
    return {
      inputs: inputSpecs(entry.traced, entry.classes),
      outputs,
      macs: macsOfGraph(resolveGradients(entry.traced)),
      paramCount: entry.params.reduce((sum, p) => sum + sizeOf(p.node.type.shape), 0),
      dispatches,
      updates,
      changes: graph.updates.map(({ state }) => changeOf(state, anew)),
      ...(entry.parts && { parts: entry.parts }),
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
    const { region, plan } = use;
    const { emitted, grid } = this.kernel(use);
    const macs = macsOf(region);
    const planned = familyOf(plan).cost(plan, region).macs;
    return {
      kernel: emitted.name,
      workgroups: grid,
      macs,
      ...(planned > macs && { plannedMacs: planned }),
      bytesRead: bytesRead(region),
      bytesWritten: bytesWritten(region),
      value: kernelName(region),
      type: formatType(region.root.type),
      ops: opsOf(region, { views: true }),
      source: placesOf(region),
      resources: bindingsOf(region).map((binding) =>
        isBundle(binding) ? this.resources.together(binding, places) : this.resources.bound(binding, region, places),
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
    const kernel = lower(region, plan, this.device);
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
}

/** Multiply-accumulates as the DiT paper counts them (docs/numbers.md). */
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

function changeOf({ op, attrs }: Node, anew: ReadonlySet<string>): EntrySpec['changes'][number] {
  const name = String(attrs.name);
  return { kind: op as 'param' | 'state', name, ...(op === 'state' && anew.has(name) && { anew: true }) };
}
