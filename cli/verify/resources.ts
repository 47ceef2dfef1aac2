/** Where the values lie that a kernel reads and writes. */
import type { Dispatch, Resource } from '../../compiler/emit/artefact.ts';
import { byteSize, sizeOf, type Node } from '../../compiler/ir/index.ts';
import { bindingsOf, isBundle, isOfStates, type BoundParts, type Region } from '../../compiler/fusion/regions.ts';

/** Of what a kernel reads, replaces and writes, each value's place: of what is bound as one, the state or the part by itself. */
export function resourcesOf(region: Region, { resources }: Dispatch): Map<Node, Resource> {
  const places = new Map<Node, Resource>();
  for (const [i, binding] of bindingsOf(region).entries()) {
    if (!isBundle(binding)) places.set(binding, resources[i]);
    else if (isOfStates(binding))
      for (const [node, { state }] of binding.parts) places.set(node, { kind: 'state', name: state });
    else for (const node of binding.parts.keys()) places.set(node, partIn(resources[i], binding, node));
  }
  for (const [node, old] of region.replaces) places.set(old, places.get(node)!);
  return places;
}

function partIn(whole: Resource, { lead, parts }: BoundParts, node: Node): Resource {
  if (whole.kind !== 'arena') throw new Error(`internal error: parts lie in ${whole.name}`);
  const bytes = byteSize(node.type);
  const before = parts.get(node)!.offset * (bytes / sizeOf(node.type.shape)) - lead;
  return { kind: 'arena', arena: whole.arena, offset: whole.offset + before, size: bytes };
}
