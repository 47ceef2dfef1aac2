/** Makes a failing graph smaller while it fails in the same way: fewer results, and values given instead of computed. */
import { nodesOf, rebuild, results, type Graph, type Node } from '../../compiler/ir/index.ts';
import { resolveGradients } from '../../compiler/autodiff/index.ts';
import { interpretNodes, opTable, Random } from '../../compiler/ops/index.ts';
import { drawValues } from '../helpers/samples.ts';
import type { Case } from './cases.ts';

/** `fails`: whether a case still does. Stops at `until` (of Date.now) at the latest. */
export function shrink(made: Case, fails: (smaller: Case) => boolean, until: number): Case {
  let best = made;
  const keep = (smaller: Case): boolean => {
    const isBetter = Date.now() < until && works(() => fails(smaller));
    if (isBetter) best = smaller;
    return isBetter;
  };
  keep({ ...made, graph: resolveGradients(made.graph) });
  for (let size = Infinity; nodesOf(best.graph).length < size && Date.now() < until;) {
    size = nodesOf(best.graph).length;
    for (let i = best.graph.updates.length; i--;) keep(pruned(best, { updates: best.graph.updates.toSpliced(i, 1) }));
    for (let i = best.graph.outputs.length; i--;)
      if (results(best.graph).length > 1) keep(pruned(best, { outputs: best.graph.outputs.toSpliced(i, 1) }));
    // The last first: with it go all those before it that nothing else reads.
    for (let after = 1; after <= nodesOf(best.graph).length; after++) keepGiven(best, after, keep);
  }
  return best;
}

/** Some changes make no sound graph: then it is no case. */
function works(test: () => boolean): boolean {
  try {
    return test();
  } catch {
    return false;
  }
}

/** Tries the case with the value that so many nodes from the end computes given as an input. */
function keepGiven(made: Case, fromEnd: number, keep: (smaller: Case) => boolean): void {
  const nodes = nodesOf(made.graph);
  const node = nodes.at(-fromEnd)!;
  if (!node.inputs.length) return;
  const asked = new Set<Node>();
  for (const n of nodes) if (n.op === 'gradient' || n.inputs.some((input) => asked.has(input))) asked.add(n);
  // Behind a derivative that is only asked for, anything will do.
  const values = asked.has(node)
    ? undefined
    : interpretNodes(
        nodes.filter((n) => !asked.has(n) && n.id <= node.id),
        made.bindings,
      );
  keep(given(made, node, values?.get(node)!.data ?? drawValues(new Random(node.id), node.type)));
}

function pruned(made: Case, less: Partial<Graph>): Case {
  const graph = { ...made.graph, ...less };
  const used = nodesOf({ ...graph, inputs: [] });
  return { ...made, graph: { ...graph, inputs: used.filter(({ op }) => op === 'input') } };
}

/** The same with a value as an input. */
function given(made: Case, node: Node, data: Float64Array): Case {
  const name = `in_${node.id}`;
  const graph = rebuild(made.graph, opTable, (old, _inputs, builder) =>
    old === node ? builder.apply('input', [], { name, dtype: node.type.dtype, shape: node.type.shape }) : undefined,
  );
  return pruned({ graph, bindings: { ...made.bindings, [name]: data } }, {});
}
