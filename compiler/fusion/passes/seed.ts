/** Every contraction and every reduction starts a group. */
import type { Node } from '../../ir/index.ts';
import { opDef } from '../../ops/index.ts';
import type { FusionContext } from '../context.ts';
import { groupOf, type Fusion, type FusionGroup } from '../group.ts';

export const seed = (fusion: Fusion, { nodes }: FusionContext): Fusion => ({
  ...fusion,
  groups: nodes.flatMap(seedAt),
});

function seedAt(node: Node): FusionGroup[] {
  const { kind } = opDef(node.op);
  if (kind === 'contract') return [groupOf('contraction', node, { anchor: node })];
  return kind === 'reduce' ? [groupOf('row', node, { reductions: [node] })] : [];
}
