/**
 * An output that is state which the run replaces, or a pack of it, gets a copy of its own: the reader wants the value before the
 * update. So does one that is a number of the program: who else computes with it need not read it from memory.
 */
import { rebuild, type Graph, type Node } from '../ir/index.ts';
import { opTable } from '../ops/index.ts';
import { sharing } from './packs.ts';

export function snapshot(graph: Graph): Graph {
  const states = new Set(graph.updates.map((update) => update.state));
  const shown = graph.outputs.map(({ node }) => node);
  const isReplaced = (node: Node) => sharing(node).some((part) => states.has(part));
  const copied = new Set(shown.filter((node) => isReplaced(node) || isLiteral(node)));
  if (!copied.size) return graph;
  const copies = new Map<Node, Node>();
  const rebuilt = rebuild(graph, opTable, (node, inputs, builder) => {
    const made = builder.apply(node.op, inputs, node.attrs, node, node.copy);
    if (copied.has(node)) copies.set(made, builder.apply('copy', [made], {}, node));
    return made;
  });
  return { ...rebuilt, outputs: rebuilt.outputs.map((o) => ({ name: o.name, node: copies.get(o.node) ?? o.node })) };
}

const isLiteral = ({ op, attrs }: Node): boolean => op === 'constant' && !(attrs.data instanceof Float64Array);
