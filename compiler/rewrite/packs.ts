/**
 * Packs: parameters joined along their first axis, laid out one after the other at load, so that the join costs nothing. A join
 * that cannot be laid out so is computed where it is read: one of its parameters comes twice, or another pack of the model needs
 * it elsewhere (`apart`, see emit/pack-conflicts.ts). What updates a parameter of a pack writes to its place in there.
 */
import { byteSize, nodesOf, rebuild, type Graph, type Node, type Remarks } from '../ir/index.ts';
import { opTable } from '../ops/index.ts';

/** Packs that are not to be, by `packKey`. */
export type Apart = ReadonlySet<string>;

export const isPack = (node: Node): boolean =>
  node.op === 'concat' && node.attrs.axis === 0 && node.inputs.every((n) => n.op === 'param');

/** The pack that joins these parameters, in this order. */
export const packKey = (params: readonly Node[]): string => params.map(({ attrs }) => String(attrs.name)).join(' ');

/** What a value shares its memory with, itself first: a pack with its parameters. */
export const sharing = (node: Node): Node[] => (isPack(node) ? [node, ...node.inputs] : [node]);

/** The buffer that a leaf of the graph lies in: the pack of a parameter that has one. */
export function bufferOf(graph: Graph): (node: Node) => Node {
  const packOf = new Map(nodesOf(graph).flatMap((node) => (isPack(node) ? node.inputs.map((x) => [x, node]) : [])));
  return (node) => packOf.get(node) ?? node;
}

/** Where each of the parameters starts in their pack, in bytes. */
export function offsetsIn(params: readonly Node[]): number[] {
  const offsets: number[] = [];
  let end = 0;
  for (const { type } of params) {
    offsets.push(end);
    end += byteSize(type);
  }
  return offsets;
}

export function packs(graph: Graph, _device: unknown, _remarks?: Remarks, apart: Apart = new Set()): Graph {
  const isLoose = (params: readonly Node[]) => new Set(params).size < params.length || apart.has(packKey(params));
  return rebuild(graph, opTable, (node, inputs, builder) => {
    if (!isPack(node) || !isLoose(inputs)) return undefined;
    const computed = inputs.map((param) => builder.apply('copy', [param], {}, param));
    return builder.apply('concat', computed, node.attrs, node);
  });
}
