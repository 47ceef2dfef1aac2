/** Which nodes a value needs. */
import type { AttributeProto, NodeProto } from '../../runtime/onnx/messages.ts';

/** Those that the wanted values are computed by, in their order: ONNX has them sorted, each after what it reads. */
export function neededFor(nodes: readonly NodeProto[], wanted: readonly string[]): NodeProto[] {
  const names = new Set(wanted);
  const found = nodes.toReversed().filter((node) => {
    if (!node.output.some((name) => name && names.has(name))) return false;
    for (const name of usesOf(node)) names.add(name);
    return true;
  });
  return found.reverse();
}

/** What a node reads, its inner graphs included: what these make themselves has names of its own. */
export function usesOf({ input, attribute }: NodeProto): string[] {
  return [...input, ...attribute.flatMap(innerUses)].filter(Boolean);
}

const innerUses = ({ g }: AttributeProto): string[] =>
  g ? [...g.node.flatMap(usesOf), ...g.output.map(({ name }) => name)] : [];
