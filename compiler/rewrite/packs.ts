/**
 * Packs: parameters joined along their first axis, laid out one after the other at load, so that the join costs nothing. Along
 * another axis, parameters of one shape are a view of such a pack (packs-beside.ts). A join that cannot be laid out so is computed
 * where it is read: one of its parameters comes twice, or another pack of the model needs it elsewhere (pack-conflicts.ts). What
 * updates a parameter of a pack writes to its place in there.
 */
import { limit, type DeviceSpec } from '../device.ts';
import { byteSize, nodesOf, type Graph, type Node } from '../ir/index.ts';
import { joinedAxis } from '../ops/index.ts';

/** Packs that are not to be. */
export interface Apart {
  /** By `packKey`. */
  readonly packs: ReadonlySet<string>;
  /** Parameters, by name, that are bound by themselves as well: where they lie in a pack, a binding has to start. */
  readonly alone: ReadonlySet<string>;
  /** Bytes that bindings start at multiples of. */
  readonly alignment: number;
}

/** All may be, on that device. */
export const noneApart = (device: DeviceSpec): Apart => ({
  packs: new Set(),
  alone: new Set(),
  alignment: limit(device, 'minStorageBufferOffsetAlignment'),
});

/** Whether these parameters, in this order, are no pack. */
export const isApart = (params: readonly Node[], { packs, alone, alignment }: Apart): boolean =>
  packs.has(packKey(params)) ||
  offsetsIn(params).some((offset, i) => offset % alignment !== 0 && alone.has(nameOf(params[i])));

export const isPack = (node: Node): boolean => joinedAxis(node) === 0 && node.inputs.every((n) => n.op === 'param');

export const nameOf = (param: Node): string => String(param.attrs.name);

/** The pack that joins these parameters, in this order. */
export const packKey = (params: readonly Node[]): string => params.map(nameOf).join(' ');

/** What a value shares its memory with, itself first: a pack with its parameters. */
export const sharing = (node: Node): Node[] => (isPack(node) ? [node, ...node.inputs] : [node]);

/** The pack that each parameter lies in, of those that lie in one: by their names. */
export type Packed = ReadonlyMap<string, string>;

/** Of the graphs of a model, after all passes. */
export const packedIn = (graphs: readonly Graph[]): Packed =>
  new Map(
    graphs
      .flatMap((graph) => nodesOf(graph).filter(isPack))
      .flatMap(({ inputs }) => inputs.map((param) => [nameOf(param), packKey(inputs)])),
  );

/** What tells the buffer of a leaf from those of others: its pack, where it is or has one. */
export const bufferOf = (node: Node, packed: Packed): unknown =>
  isPack(node) ? packKey(node.inputs) : (node.op === 'param' && packed.get(nameOf(node))) || node;

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
