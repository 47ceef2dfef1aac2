/**
 * An output that is state which the run replaces, or a pack of it, gets a copy of its own: the reader wants the value before the
 * update.
 */
import { rebuild, type Graph, type Node } from '../ir/index.ts';
import { opTable } from '../ops/index.ts';
import { sharing } from './packs.ts';

export function snapshot(graph: Graph): Graph {
  const states = new Set(graph.updates.map((update) => update.state));
  const shown = graph.outputs.map(({ node }) => node);
  const replaced = new Set(shown.filter((node) => sharing(node).some((part) => states.has(part))));
  if (!replaced.size) return graph;
  const copies = new Map<Node, Node>();
  const rebuilt = rebuild(graph, opTable, (node, inputs, builder) => {
    const made = builder.apply(node.op, inputs, node.attrs, node);
    if (replaced.has(node)) copies.set(made, builder.apply('copy', [made], {}, node));
    return made;
  });
  return { ...rebuilt, outputs: rebuilt.outputs.map((o) => ({ name: o.name, node: copies.get(o.node) ?? o.node })) };
}
