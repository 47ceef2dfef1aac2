/**
 * Windows: a cut along the first axis of a stored value is a stretch of its buffer. A kernel that reads only such stretches
 * of a value binds just them, so where they lie is a matter of the bindings, not of the kernel.
 */
import { ALIGNMENT, WORD } from '../device.ts';
import { byteSize, sizeOf, type Node, type TensorType } from '../ir/index.ts';
import { attrList } from '../ops/index.ts';
import { sharing } from '../rewrite/packs.ts';
import { isStored } from './storage.ts';

/** Offset in bytes of a cut in what it cuts from; null when it is not a stretch of it that is bound by itself. */
export function windowOffset(node: Node): number | null {
  if (node.op !== 'slice') return null;
  const { shape } = node.inputs[0].type;
  const [start, size, step] = ['start', 'size', 'step'].map((name) => attrList(node.attrs, name));
  const whole = shape.every((n, axis) => axis === 0 || (size[axis] === n && step[axis] === 1));
  if (!whole || step[0] !== 1) return null;
  const offset = start[0] * sizeOf(shape.slice(1)) * (byteSize(node.type) / sizeOf(node.type.shape));
  return offset % ALIGNMENT === 0 || (offset % WORD === 0 && byteSize(node.type) >= ALIGNMENT) ? offset : null;
}

/** A run of rows of a value, counted along its first axis. */
export interface Span {
  readonly start: number;
  readonly size: number;
}

/** The span of a value that holds cuts of it. */
export function spanOver(cuts: readonly Node[]): Span {
  const starts = cuts.map(({ attrs }) => attrList(attrs, 'start')[0]);
  const start = Math.min(...starts);
  return { start, size: Math.max(...cuts.map(({ type }, i) => starts[i] + type.shape[0])) - start };
}

/** Type of a span of a value: all of it, unless told. */
export const typeOfSpan = ({ type }: Node, span?: Span): TensorType =>
  span ? { ...type, shape: type.shape.with(0, span.size) } : type;

/** What writes values: a group or a region. */
interface Writer {
  readonly results: readonly { readonly node: Node }[];
}

/** Whether a value has memory of its own: it was there before, or a kernel writes it. */
export function buffersOf(groups: readonly Writer[]): (node: Node) => boolean {
  const written = new Set(groups.flatMap(({ results }) => results.map(({ node }) => node)));
  return (node) => written.has(node) || isStored(node);
}

/** The values whose memory holds a read: itself, a pack's parameters too, what a window is cut from, or the parts of a whole (concats.ts). */
export const storedIn = (read: Node, isBuffer: (node: Node) => boolean): Node[] =>
  isBuffer(read) ? sharing(read) : read.inputs.flatMap((input) => storedIn(input, isBuffer));
