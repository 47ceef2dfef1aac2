/**
 * The kernels of a graph in order, and where they write. What a kernel binds is known when its results have their places: a new
 * value of state may turn out not to lie over the old one, and a kernel then binds a buffer more than it was merged for.
 */
import { Remarks, type Graph, type Node } from '../ir/index.ts';
import { limit } from '../device.ts';
import { regionsOf } from '../fusion/bind.ts';
import { checkBuffers, cutsOf } from '../fusion/bindings.ts';
import { FusionContext } from '../fusion/context.ts';
import type { Fusion } from '../fusion/group.ts';
import { runFusion, unfused, type FusionOptions } from '../fusion/passes.ts';
import type { Region } from '../fusion/regions.ts';
import type { Packed } from '../rewrite/packs.ts';
import { crowding, reuseMemory, type Reuse } from './reuse.ts';

export interface Formed extends Reuse {
  /** The kernels before it was decided what is computed in place. */
  readonly formed: readonly Region[];
  /** What each pass of fusion left. */
  readonly fusions: ReadonlyMap<string, Fusion>;
}

interface Options extends Omit<FusionOptions, 'onPass'> {
  /** The packs of the model. */
  readonly packed: Packed;
}

/**
 * Fuses until no kernel binds more than the device does. It ends: each round but the last adds to `noAlias`, which holds states of
 * the graph, or to `cuts`, which holds values of it; a model in which every state can be written in place takes one round.
 */
export function formKernels(graph: Graph, options: Options, remarks: Remarks): Formed {
  const { device, bundles, packed } = options;
  const most = limit(device, 'maxStorageBuffersPerShaderStage');
  const noAlias = new Set<Node>();
  const cuts = new Set<Node>();
  const split = new Remarks();
  for (;;) {
    const tried = new Remarks(split.list);
    const fusions = new Map<string, Fusion>();
    const onPass = (name: string, fusion: Fusion) => void fusions.set(name, fusion);
    const facts = { ...options, noAlias, cuts, remarks: tried, onPass };
    const formed = regionsOf(runFusion(unfused(graph), facts), new FusionContext(graph, facts));
    const reuse = reuseMemory(formed, graph, { remarks: tried, bundles, packed });
    const states = crowding(reuse.regions, graph, most).filter((state) => !noAlias.has(state));
    states.forEach((state) => noAlias.add(state));
    if (states.length) continue;
    const crowded = cutsOf(reuse.regions, device, split).filter((node) => !cuts.has(node));
    crowded.forEach((node) => cuts.add(node));
    if (crowded.length) continue;
    reuse.regions.forEach((region) => checkBuffers(region, device));
    tried.list.forEach((remark) => remarks.list.push(remark));
    return { ...reuse, formed, fusions };
  }
}
