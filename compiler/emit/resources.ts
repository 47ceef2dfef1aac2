/** Where kernels find values: in an arena, among the weights and states, or in what the model brings along. */
import { byteSize, sizeOf, type Node } from '../ir/index.ts';
import { ALIGNMENT } from '../device.ts';
import type { MemoryPlan } from '../memory/plan.ts';
import { opDef } from '../ops/index.ts';
import { isPack } from '../rewrite/packs.ts';
import { isOfStates, type Bound, type BoundStates, type Region } from '../fusion/regions.ts';
import { windowOffset } from '../fusion/windows.ts';
import type { BundleSpec, PackSpec, Resource, TensorSpec } from './artefact.ts';
import { tensorSpec, typedData, type Data } from './declare.ts';

/** Where values of one entry lie. */
export interface Places {
  readonly memory: MemoryPlan;
  /** Values written straight into the state that they update. */
  readonly homes: ReadonlyMap<Node, Node>;
}

/** The resources of all entries: what several of them bind is there once. */
export class Resources {
  /** Dense constants by content. */
  readonly constants = new Map<string, TensorSpec>();
  readonly data: Data = new Map();
  /** By their parameters. */
  readonly packs = new Map<string, PackSpec>();
  /** By their states. */
  readonly bundles = new Map<string, BundleSpec>();

  of(node: Node, places: Places): Resource {
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
    const from = this.of(node.inputs[0], places);
    return partOf(from, windowOffset(node) ?? 0, byteSize(node.type));
  }

  /** What a kernel binds of a value. */
  bound(node: Node, region: Region, places: Places): Resource {
    const resource = this.spanned(node, region, places);
    const lead = region.leads.get(node);
    if (!lead) return resource;
    if (resource.kind !== 'param' && resource.kind !== 'arena')
      throw new Error(`${resource.name}: it is bound from its start`);
    return { ...resource, lead: (lead * byteSize(node.type)) / sizeOf(node.type.shape) };
  }

  private spanned(node: Node, region: Region, places: Places): Resource {
    const from = this.of(node, places);
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

  /** What a kernel binds for several values at once. */
  together(bound: Bound, places: Places): Resource {
    if (isOfStates(bound)) return this.bundle(bound);
    const { first, lead, elements } = bound;
    const from = this.of(first, places);
    const size = (elements * byteSize(first.type)) / sizeOf(first.type.shape) - lead;
    return { ...partOf(from, 0, size), ...(lead && { lead }) };
  }

  private bundle({ states }: BoundStates): Resource {
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

function partOf(from: Resource, offset: number, bytes: number): Extract<Resource, { kind: 'arena' }> {
  if (from.kind !== 'arena') throw new Error(`${from.name}: no part of it can be bound`);
  return { ...from, offset: from.offset + offset, size: bytes };
}
