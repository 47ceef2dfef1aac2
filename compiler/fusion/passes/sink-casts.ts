/** What is only cast to f32 at last, for several readers, is stored as it was before: each reader casts what it loads. */
import type { Node } from '../../ir/index.ts';
import { opDef } from '../../ops/index.ts';
import type { FusionContext } from '../context.ts';
import type { Fusion, FusionGroup } from '../group.ts';

export const sinkCasts = (fusion: Fusion, { returned }: FusionContext): Fusion => ({
  ...fusion,
  groups: fusion.groups.map((group) => withoutCasts(group, returned)),
});

function withoutCasts(group: FusionGroup, returned: ReadonlySet<Node>): FusionGroup {
  let { root } = group;
  while (isWidening(root) && !returned.has(root)) [root] = root.inputs;
  if (root === group.root) return group;
  const epilogue = group.epilogue.filter((node) => node.id <= root.id);
  return { ...group, root, epilogue, results: [{ node: root, views: group.views }] };
}

const isWidening = ({ op, inputs, type }: Node): boolean =>
  !!opDef(op).wgsl?.isConversion && inputs[0].type.dtype === 'f16' && type.dtype === 'f32';
