/** The pass `packs`: joins of parameters that cannot be laid out at load (packs.ts) are computed. */
import { rebuild, type Graph, type Node } from '../ir/index.ts';
import { opTable } from '../ops/index.ts';
import { packConflicts } from './pack-conflicts.ts';
import { isApart, isPack, NONE_APART, type Apart } from './packs.ts';

export function packs(graphs: readonly Graph[]): readonly Graph[] {
  let apart = NONE_APART;
  // It ends: each round but the last adds to `apart`, which holds packs of the graphs.
  for (;;) {
    const more = packConflicts(graphs, apart);
    if (more.size === apart.size) return graphs.map((graph) => withoutPacks(graph, apart));
    apart = more;
  }
}

function withoutPacks(graph: Graph, apart: Apart): Graph {
  const isLoose = (params: readonly Node[]) => new Set(params).size < params.length || isApart(params, apart);
  return rebuild(graph, opTable, (node, inputs, builder) => {
    if (!isPack(node) || !isLoose(inputs)) return undefined;
    const computed = inputs.map((param) => builder.apply('copy', [param], {}, param));
    return builder.apply('concat', computed, node.attrs, node);
  });
}
