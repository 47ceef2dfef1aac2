/** Composite ops that no rule has used become the smaller ops they stand for. */
import { rebuild, type Graph } from '../ir/index.ts';
import { Functional, opDef, opTable } from '../ops/index.ts';

export function expand(graph: Graph): Graph {
  return rebuild(graph, opTable, (node, inputs, builder) => {
    const def = opDef(node.op);
    // Anchors have kernels of their own.
    if (!def.expand || def.kind === 'contract') return undefined;
    const f = new Functional(builder);
    f.like = node;
    return def.expand(f, inputs, node.attrs, node.type);
  });
}
