/** Joins of parameters of one shape along another axis than their first: views of a pack, which costs nothing (packs.ts). */
import { rebuild, sameShape, type Graph, type Node, type Shape } from '../ir/index.ts';
import { attrNumber, Functional, joinedAxis, opTable } from '../ops/index.ts';
import { isApart, type Apart } from './packs.ts';

/** Those of them that no graph of the model rules out, and whose parameters the graph does not update. */
export function withPacksBeside(graph: Graph, apart: Apart): Graph {
  const updated = new Set(graph.updates.map(({ state }) => state));
  const isFree = (params: readonly Node[]) =>
    new Set(params).size === params.length && !isApart(params, apart) && !params.some((param) => updated.has(param));
  return rebuild(graph, opTable, (node, inputs, builder) => {
    if (!areBeside(node) || !isFree(node.inputs)) return undefined;
    const f = new Functional(builder);
    f.like = node;
    return beside(f, inputs, attrNumber(node.attrs, 'axis'), node.type.shape);
  });
}

/** Whether parameters of one shape are joined, not along their first axis. */
function areBeside(node: Node): boolean {
  const [first, ...others] = node.inputs;
  return (
    !!joinedAxis(node) &&
    node.inputs.every((x) => x.op === 'param') &&
    others.every(({ type }) => type.dtype === first.type.dtype && sameShape(type.shape, first.type.shape))
  );
}

/** The view of a pack in which its parameters lie side by side along an axis. */
function beside(f: Functional, params: readonly Node[], axis: number, shape: Shape): Node {
  const own = params[0].type.shape;
  const stacked = f.reshape(f.concat(params, 0), [params.length, ...own]);
  const order = own.map((_, i) => i + 1);
  return f.reshape(f.permute(stacked, [...order.slice(0, axis), 0, ...order.slice(axis)]), shape);
}
