/**
 * Concatenations that take no kernel: one along the first axis lies in memory as its parts do, one after the other. Where kernels
 * compute the parts anyway, they write them straight into their places, and the whole is the stretch of memory that the parts
 * fill. Who reads it binds that stretch, or a window of it (windows.ts).
 */
import { ALIGNMENT } from '../device.ts';
import { byteSize, type Node } from '../ir/index.ts';
import { joinedAxis } from '../ops/index.ts';
import type { Fusion, FusionGroup } from './group.ts';
import { readsOf } from './slice.ts';
import { buffersOf, storedIn } from './windows.ts';

/** Where a value lies in a whole. */
export interface Part {
  readonly whole: Node;
  /** Bytes. */
  readonly offset: number;
}

/** The bytes before an offset that are bound with what lies there. */
export const leadOf = (offset: number): number => offset % ALIGNMENT;

/** What a kernel reads and what it writes. */
interface Kernel {
  readonly reads: readonly Node[];
  readonly results: readonly { readonly node: Node }[];
}

/** Values, and the parts of those that lie in memory as their parts do. */
export const withParts = (nodes: ReadonlySet<Node>, concats: Fusion['concats']): Set<Node> =>
  new Set([...nodes].flatMap((node) => [node, ...(concats.get(node) ?? [])]));

/** Where values lie in the concatenations that kernels read, and that none writes. */
export function partsIn(kernels: readonly Kernel[]): Map<Node, Part> {
  const isBuffer = buffersOf(kernels);
  const wholes = kernels.flatMap(({ reads }) => reads.flatMap((read) => wholeBehind(read, isBuffer) ?? []));
  const parts = new Map<Node, Part>();
  for (const whole of new Set(wholes)) {
    let offset = 0;
    for (const piece of piecesOf(whole, isBuffer)) {
      for (const part of storedIn(piece, isBuffer)) parts.set(part, { whole, offset });
      offset += byteSize(piece.type);
    }
  }
  return parts;
}

/** What a value joins along the first axis, in order: behind what is joined likewise on the way (nest.ts). */
export const piecesOf = ({ inputs }: Node, isPiece: (node: Node) => boolean): Node[] =>
  inputs.flatMap((node) => (joinedAxis(node) === 0 && !isPiece(node) ? piecesOf(node, isPiece) : [node]));

/** The whole that a kernel reads all or a window of. */
const wholeBehind = (read: Node, isBuffer: (node: Node) => boolean): Node | undefined =>
  isBuffer(read) ? undefined : read.op === 'slice' ? wholeBehind(read.inputs[0], isBuffer) : read;

/** Concatenations of which a group reads something and writes a part: a buffer cannot be read and written in one dispatch. */
export function tornBy(group: FusionGroup, stored: ReadonlySet<Node>, concats: Fusion['concats']): Node[] {
  if (!concats.size) return [];
  const read = withParts(readsOf(group, stored), concats);
  const written = new Set(group.results.map(({ node }) => node));
  const isTorn = (parts: readonly Node[]) => [read, written].every((set) => parts.some((part) => set.has(part)));
  return [...concats].flatMap(([concat, parts]) => (isTorn(parts) ? [concat] : []));
}
