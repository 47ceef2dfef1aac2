/** Differentiation as a pass: the graph of a loss learns to give its gradients too. */
import { DitcError, isFloat, nodesOf, ownerOf, rebuild, type Graph, type Node } from '../ir/index.ts';
import { Functional, opTable } from '../ops/index.ts';
import { gradients } from './reverse.ts';

/** Adds an output `d_<name>` for each weight and each floating-point input. The loss is the output `loss`, or the only one. */
export function differentiate(graph: Graph): Graph {
  const copy = rebuild(graph, opTable, () => undefined);
  const loss = copy.outputs.find(({ name }) => name === 'loss') ?? (copy.outputs.length === 1 ? copy.outputs[0] : null);
  if (!loss) {
    const what = `gradient: @${graph.name} has ${graph.outputs.length} outputs and none is called loss`;
    throw new DitcError({ code: 'gradient', what, fix: 'name the one to differentiate loss' });
  }
  const wrt = nodesOf(copy).filter(({ op, type }) => (op === 'param' || op === 'input') && isFloat(type.dtype));
  const made = gradients(new Functional(ownerOf(loss.node)!), loss.node, wrt);
  return { ...copy, outputs: [...copy.outputs, ...wrt.map((w, i) => ({ name: outputName(w), node: made[i] }))] };
}

/** As the text form spells names of outputs. */
const outputName = (node: Node): string => `d_${String(node.attrs.name).replace(/[^\p{L}\d_.]/gu, '_')}`;
