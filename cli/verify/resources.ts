/** Where the values lie that a kernel reads and writes. */
import type { Dispatch, Resource } from '../../compiler/emit/artefact.ts';
import type { Node } from '../../compiler/ir/index.ts';
import { bindingsOf, isBundle, type Region } from '../../compiler/fusion/regions.ts';

/** Of what a kernel reads, replaces and writes, each value's place: of a bundle, the state by itself. */
export function resourcesOf(region: Region, { resources }: Dispatch): Map<Node, Resource> {
  const places = new Map<Node, Resource>();
  for (const [i, binding] of bindingsOf(region).entries()) {
    if (!isBundle(binding)) places.set(binding, resources[i]);
    else for (const [node, { state }] of binding.parts) places.set(node, { kind: 'state', name: state });
  }
  for (const [node, old] of region.replaces) places.set(old, places.get(node)!);
  return places;
}
