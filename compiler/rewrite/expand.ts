/** Composite ops that no rule has used become the smaller ops they stand for, and so do anchors that are `chosen`. */
import { rebuild, type Graph, type Node } from '../ir/index.ts';
import { Functional, opDef, opTable } from '../ops/index.ts';

export function expand(graph: Graph, chosen: (anchor: Node) => boolean = () => false): Graph {
  const isAnchor = (node: Node) => opDef(node.op).kind === 'contract';
  // Anchors first: what they stand for is composite in part.
  const plain = expandWhere(graph, (node) => isAnchor(node) && chosen(node));
  return expandWhere(plain, (node) => !isAnchor(node));
}

function expandWhere(graph: Graph, wanted: (node: Node) => boolean): Graph {
  return rebuild(graph, opTable, (node, inputs, builder) => {
    const def = opDef(node.op);
    if (!def.expand || !wanted(node)) return undefined;
    const f = new Functional(builder);
    f.like = node;
    return def.expand(f, inputs, node.attrs, node.type);
  });
}
