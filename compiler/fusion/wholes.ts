/**
 * Wholes: a concatenation along the first axis lies in memory as its parts do, one after the other. Where kernels compute the
 * parts anyway, they write them straight into their places, and the whole takes no kernel: it is the stretch of memory that
 * the parts fill. Who reads it binds that stretch, or a window of it (windows.ts).
 */
import { byteSize, labelOf, labelsOf, type Node, type Remarks } from '../ir/index.ts';
import { opDef } from '../ops/index.ts';
import type { Region } from './regions.ts';
import { ALIGNMENT } from '../device.ts';
import { buffersOf, storedIn } from './windows.ts';

/** The parts of each whole, in order: values that kernels write. */
export type Wholes = ReadonlyMap<Node, readonly Node[]>;

/** Where a value lies in a whole. */
export interface Part {
  readonly whole: Node;
  /** Bytes. */
  readonly offset: number;
}

/** Whether a value may be a whole: its parts are computed, and each starts where a binding can. */
export const mayBeWhole = (node: Node): boolean =>
  node.op === 'concat' &&
  node.attrs.axis === 0 &&
  node.inputs.every(isComputed) &&
  node.inputs.slice(0, -1).every(({ type }) => byteSize(type) % ALIGNMENT === 0);

/** Whether there is something to compute, behind views that keep all of it: what is in memory already would have to be copied. */
const isComputed = (node: Node): boolean =>
  ['reshape', 'permute'].includes(node.op)
    ? isComputed(node.inputs[0])
    : node.op !== 'copy' && !['view', 'leaf'].includes(opDef(node.op).kind);

export interface WholeChoice {
  readonly nodes: readonly Node[];
  /** Values that are worth a buffer (cost.ts). */
  readonly buffers: ReadonlySet<Node>;
  /** Roots of anchored regions. */
  readonly anchored: { has(node: Node): boolean };
  /** Nodes inside anchored regions. */
  readonly owned: { has(node: Node): boolean };
  readonly returned: ReadonlySet<Node>;
  /** Buffers a kernel may read. */
  readonly maxReads: number;
  /** Bytes that a binding holds. */
  readonly most: number;
  /** Concatenations that cannot be wholes: a kernel reads one part and writes another (`tornBy`). */
  readonly torn?: ReadonlySet<Node>;
  readonly remarks?: Remarks;
}

/** The concatenations that cost nothing, since kernels write their parts anyway, or that are worth a buffer. */
export function chooseWholes(choice: WholeChoice): Wholes {
  const { nodes, buffers, anchored, remarks } = choice;
  const wholes = new Map<Node, Node[]>();
  const taken = new Set<Node>();
  for (const node of nodes.filter(mayBeWhole)) {
    const written = node.inputs.map((input) => writtenFor(input, anchored));
    // More than a kernel reads: views that no kernel writes are copied to their places, one by one.
    const isWide = new Set(written).size > choice.maxReads;
    const isLoose = (part: Node) => !anchored.has(part) && opDef(part.op).kind === 'view';
    const parts = isWide ? written.map((part, i) => (isLoose(part) ? node.inputs[i] : part)) : written;
    if (!isWide && !buffers.has(node) && !parts.every((part) => buffers.has(part))) continue;
    const why = keepsApart(node, parts, choice, taken, isWide ? ['pointwise', 'view'] : ['pointwise']);
    if (why) {
      remarks?.missed('wholes', [node, ...parts], why);
      continue;
    }
    remarks?.applied('wholes', [node, ...parts], `${labelsOf(parts)} are written where they lie in ${labelOf(node)}`);
    wholes.set(node, parts);
    parts.forEach((part) => taken.add(part));
  }
  return wholes;
}

/** Why the parts of a value cannot be written into it; undefined when they can. */
function keepsApart(
  node: Node,
  parts: readonly Node[],
  { anchored, owned, returned, most, torn }: WholeChoice,
  taken: ReadonlySet<Node>,
  /** Kinds of ops that get a kernel of their own where they are wanted in memory. */
  kinds: readonly string[],
): string | undefined {
  const bytes = byteSize(node.type);
  if (bytes > most) return `a binding holds ${most} bytes and ${labelOf(node)} takes ${bytes}`;
  if (torn?.has(node)) return `a kernel reads one part of ${labelOf(node)} and writes another`;
  const result = [node, ...parts].find((value) => returned.has(value));
  if (result) return `${labelOf(result)} is a result of the graph`;
  const other = parts.find((part, i) => taken.has(part) || parts.indexOf(part) < i);
  if (other) return `${labelOf(other)} lies in one place, and is wanted in two`;
  const inner = parts.find((part) => !anchored.has(part) && (!kinds.includes(opDef(part.op).kind) || owned.has(part)));
  return inner && `no kernel writes ${labelOf(inner)}`;
}

/** Values, and the parts of those that are wholes. */
export const withParts = (nodes: ReadonlySet<Node>, wholes: Wholes): Set<Node> =>
  new Set([...nodes].flatMap((node) => [node, ...(wholes.get(node) ?? [])]));

/** The value that a kernel can write for a part: behind reshapes, which leave it as it lies. */
const writtenFor = (node: Node, anchored: WholeChoice['anchored']): Node =>
  node.op === 'reshape' && !anchored.has(node) ? writtenFor(node.inputs[0], anchored) : node;

/** Where values lie in the wholes that kernels read. */
export function partsIn(regions: readonly Region[]): Map<Node, Part> {
  const isBuffer = buffersOf(regions);
  const wholes = regions.flatMap(({ reads }) => reads.flatMap((read) => wholeBehind(read, isBuffer) ?? []));
  const parts = new Map<Node, Part>();
  for (const whole of new Set(wholes)) {
    let offset = 0;
    for (const input of whole.inputs) {
      for (const part of storedIn(input, isBuffer)) parts.set(part, { whole, offset });
      offset += byteSize(input.type);
    }
  }
  return parts;
}

/** The whole that a kernel reads all or a window of. */
const wholeBehind = (read: Node, isBuffer: (node: Node) => boolean): Node | undefined =>
  isBuffer(read) ? undefined : read.op === 'slice' ? wholeBehind(read.inputs[0], isBuffer) : read;

/**
 * Wholes of which a kernel reads something and writes a part: one buffer cannot be read and written in one dispatch.
 */
export function tornBy(regions: readonly Region[]): Set<Node> {
  const isBuffer = buffersOf(regions);
  const parts = partsIn(regions);
  const torn = regions.flatMap(({ reads, results }) => {
    const read = new Set(reads.flatMap((node) => storedIn(node, isBuffer)).map((node) => parts.get(node)?.whole));
    return results.flatMap(({ node }) => parts.get(node)?.whole ?? []).filter((whole) => read.has(whole));
  });
  return new Set(torn);
}
