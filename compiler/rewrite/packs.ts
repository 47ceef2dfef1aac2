/**
 * Packs: parameters joined along their first axis, laid out one after the other at load, so that the join costs nothing. Along
 * another axis, parameters of one shape are a view of such a pack (packs-beside.ts). A join that cannot be laid out so is computed
 * where it is read: one of its parameters comes twice, or another pack of the model needs it elsewhere (pack-conflicts.ts). What
 * updates a parameter of a pack writes to its place in there. What reads or writes a parameter by itself binds a stretch of the pack
 * that starts where the device lets a binding start: somewhat before the parameter, unless that lies there by chance.
 */
import { limit, type DeviceSpec } from '../device.ts';
import { byteSize, nodesOf, type Graph, type Node } from '../ir/index.ts';
import { joinedAxis } from '../ops/index.ts';

/** Packs that are not to be, by `packKey`. */
export type Apart = ReadonlySet<string>;

/** All may be. */
export const NONE_APART: Apart = new Set();

/** Whether these parameters, in this order, are no pack. */
export const isApart = (params: readonly Node[], apart: Apart): boolean => apart.has(packKey(params));

export const isPack = (node: Node): boolean => joinedAxis(node) === 0 && node.inputs.every((n) => n.op === 'param');

export const nameOf = (param: Node): string => String(param.attrs.name);

/** The pack that joins these parameters, in this order. */
export const packKey = (params: readonly Node[]): string => params.map(nameOf).join(' ');

/** What a value shares its memory with, itself first: a pack with its parameters. */
export const sharing = (node: Node): Node[] => (isPack(node) ? [node, ...node.inputs] : [node]);

/** Where a parameter lies that is in a pack. */
export interface PackPlace {
  readonly pack: string;
  /** Bytes before it in the pack, and how many of these a binding of it has before it. */
  readonly offset: number;
  readonly lead: number;
}

/** The places of the parameters that lie in packs, by their names. */
export type Packed = ReadonlyMap<string, PackPlace>;

/** Of the graphs of a model, after all passes. */
export function packedIn(graphs: readonly Graph[], device: DeviceSpec): Packed {
  const alignment = limit(device, 'minStorageBufferOffsetAlignment');
  const placesIn = ({ inputs }: Node) =>
    offsetsIn(inputs).map((offset, i): [string, PackPlace] => [
      nameOf(inputs[i]),
      { pack: packKey(inputs), offset, lead: offset % alignment },
    ]);
  return new Map(graphs.flatMap((graph) => nodesOf(graph).filter(isPack).flatMap(placesIn)));
}

/** Where a value lies in a pack, if it is a parameter that does. */
export const placeInPack = (node: Node, packed: Packed): PackPlace | undefined =>
  node.op === 'param' ? packed.get(nameOf(node)) : undefined;

/** What tells the buffer of a leaf from those of others: its pack, where it is or has one. */
export const bufferOf = (node: Node, packed: Packed): unknown =>
  isPack(node) ? packKey(node.inputs) : (placeInPack(node, packed)?.pack ?? node);

/** Whether bindings of two parameters have bytes in common. */
export function bindingsOverlap(a: Node, b: Node, packed: Packed): boolean {
  const [one, other] = [a, b].map((node) => placeInPack(node, packed));
  if (!one || one.pack !== other?.pack) return a === b;
  const ends = one.offset + byteSize(a.type) > other.offset - other.lead;
  return ends && other.offset + byteSize(b.type) > one.offset - one.lead;
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
