/**
 * Packs: parameters joined along their first axis, laid out one after the other at load, so that the join costs nothing. A join
 * that cannot be laid out so is computed where it is read: its parameters are changed by the graph, one comes twice, or
 * another pack of the model needs it elsewhere (`apart`, see emit/pack-conflicts.ts).
 */
import { rebuild, type Graph, type Node, type Remarks } from '../ir/index.ts';
import { opTable } from '../ops/index.ts';

/** Packs that are not to be, by `packKey`. */
export type Apart = ReadonlySet<string>;

export const isPack = (node: Node): boolean =>
  node.op === 'concat' && node.attrs.axis === 0 && node.inputs.every((n) => n.op === 'param');

/** The pack that joins these parameters, in this order. */
export const packKey = (params: readonly Node[]): string => params.map(({ attrs }) => String(attrs.name)).join(' ');

export function packs(graph: Graph, _device: unknown, _remarks?: Remarks, apart: Apart = new Set()): Graph {
  const updated = new Set(graph.updates.map(({ state }) => state.attrs.name));
  const isLoose = (params: readonly Node[]) =>
    new Set(params).size < params.length ||
    params.some(({ attrs }) => updated.has(attrs.name)) ||
    apart.has(packKey(params));
  return rebuild(graph, opTable, (node, inputs, builder) => {
    if (!isPack(node) || !isLoose(inputs)) return undefined;
    const computed = inputs.map((param) => builder.apply('copy', [param], {}, param));
    return builder.apply('concat', computed, node.attrs, node);
  });
}
