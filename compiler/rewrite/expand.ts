/** Composite ops that no rule has used become the smaller ops they stand for. */
import { rebuild, type Graph } from '../ir/index.ts';
import { Functional, opDef, opTable } from '../ops/index.ts';

export function expand(graph: Graph): Graph {
  return rebuild(graph, opTable, (node, inputs, builder) => {
    const def = opDef(node.op);
    if (!def.expand) return undefined;
    const f = new Functional(builder);
    f.like = node;
    return def.expand(f, inputs, node.attrs, node.type);
  });
}
