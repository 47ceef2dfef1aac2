/**
 * What the gradients of cuts add up to: each piece padded with zeros to the shape of the whole, all of them summed. Where the
 * pieces fill the whole, the sum is their concatenation, here along a first axis: piece after piece in memory. Kernels then
 * write the pieces straight into their places (fusion/concats.ts). The algebra is exact: all that is added are zeros.
 *
 * Before: pad(a) + pad(b) + pad(c), b from row 1 on, … : [m, 3·n]       After: permute(concat(a, b, c)) : [3, m, n] → [m, 3, n]
 */
import { isStretch } from '../device.ts';
import { byteSize, rebuild, sizeOf, type Graph, type Node, type TensorType } from '../ir/index.ts';
import { attrList, attrNumber, Functional, keepsOrder, opTable } from '../ops/index.ts';
import { acrossReshape } from './stretches.ts';

/** A piece, and where in the whole it starts. */
interface Pad {
  readonly piece: Node;
  readonly low: readonly number[];
}

export function assemble(graph: Graph): Graph {
  /** The pads that each value is the sum of. */
  const padsOf = new Map<Node, readonly Pad[]>();
  return rebuild(graph, opTable, (node, inputs, builder) => {
    const f = new Functional(builder);
    f.like = node;
    const pads = padsBehind(f, node, inputs[0], padsOf);
    if (!pads) return undefined;
    padsOf.set(node, pads);
    const tiling = node.op === 'add' ? tilingBy(pads, node.type) : undefined;
    if (!tiling) return undefined;
    const pieces = tiling.pads.map(({ piece }) => piece);
    return (isRow(tiling.axis, node.type) ? inRow : inStack)(f, pieces, tiling.axis, node.type);
  });
}

/** The pads that a value is the sum of; `x` is its first operand in the new graph. */
function padsBehind(
  f: Functional,
  node: Node,
  x: Node,
  padsOf: ReadonlyMap<Node, readonly Pad[]>,
): readonly Pad[] | undefined {
  const [inner, ...others] = node.inputs.map((input) => padsOf.get(input));
  if (node.op === 'add') return together([inner, ...others]);
  if (keepsOrder(node)) return inner && reshaped(f, node, inner);
  return node.op === 'pad' && attrNumber(node.attrs, 'value') === 0 ? padded(node, x, inner) : undefined;
}

/** The same pads of a value in another shape. */
function reshaped(f: Functional, { inputs: [x], type: { shape } }: Node, pads: readonly Pad[]): Pad[] | undefined {
  const moved = pads.flatMap(({ piece, low }): Pad[] => {
    const [axis, ...others] = axesCut(piece, x.type);
    if (axis === undefined || others.length) return [];
    const from = low[axis];
    const cut = acrossReshape(x.type.shape, shape, { axis, from, to: from + piece.type.shape[axis] });
    if (!cut) return [];
    const at = shape.map((_, a) => (a === cut.axis ? cut.from : 0));
    return [{ piece: f.reshape(piece, shape.with(cut.axis, cut.to - cut.from)), low: at }];
  });
  return moved.length === pads.length ? moved : undefined;
}

/** A pad of `x`; where that is a sum of pads along the same axis, what they are pads of, as if each had been padded at once. */
function padded(pad: Node, x: Node, inner: readonly Pad[] | undefined): Pad[] {
  const low = attrList(pad.attrs, 'low');
  const [axis, ...others] = axesCut(x, pad.type);
  const isFlat = inner && !others.length && inner.every(({ piece }) => String(axesCut(piece, x.type)) === String(axis));
  return isFlat
    ? inner.map(({ piece, low: within }) => ({ piece, low: within.map((n, a) => n + low[a]) }))
    : [{ piece: x, low }];
}

/** The axes along which a piece is not all of what it is a piece of. */
const axesCut = (piece: Node, { shape }: TensorType): number[] =>
  [...shape.keys()].filter((axis) => piece.type.shape[axis] < shape[axis]);

/** What two sums are of, unless they have a summand in common: that would be there twice. */
function together([x, y]: readonly (readonly Pad[] | undefined)[]): readonly Pad[] | undefined {
  const all = x && y ? [...x, ...y] : [];
  return new Set(all).size === all.length && all.length ? all : undefined;
}

/** Pads in order along the one axis on which their pieces fill what they add up to. */
interface Tiling {
  readonly axis: number;
  readonly pads: readonly Pad[];
}

/** How pieces fill a shape, if each of them can be written where it comes to lie. */
function tilingBy(pads: readonly Pad[], type: TensorType): Tiling | undefined {
  const { shape } = type;
  const [axis] = axesCut(pads[0].piece, type);
  const fits = ({ piece }: Pad) => String(axesCut(piece, type)) === String(axis) && isPiece(piece);
  if (axis === undefined || !pads.every(fits)) return undefined;
  const startOf = ({ low }: Pad) => low[axis];
  const sizeOfPiece = ({ piece }: Pad) => piece.type.shape[axis];
  const inOrder = [...pads].sort((a, b) => startOf(a) - startOf(b));
  const ends = [0, ...inOrder.map((pad) => startOf(pad) + sizeOfPiece(pad))];
  const fill = inOrder.every((pad, i) => startOf(pad) === ends[i]) && ends.at(-1) === shape[axis];
  const fit = isRow(axis, { shape }) || pads.every((pad) => sizeOfPiece(pad) === sizeOfPiece(pads[0]));
  return fill && fit ? { axis, pads: inOrder } : undefined;
}

/** Whether there is nothing before an axis: pieces along it then follow each other in memory as they are. */
const isRow = (axis: number, { shape }: Pick<TensorType, 'shape'>): boolean => sizeOf(shape.slice(0, axis)) === 1;

/** Whether a piece may lie among others, as f16 too. */
const isPiece = ({ type }: Node): boolean => isStretch(byteSize(type) / 2);

function inRow(f: Functional, pieces: readonly Node[], axis: number, { shape }: TensorType): Node {
  const rows = pieces.map((piece) => f.reshape(piece, piece.type.shape.slice(axis)));
  return f.reshape(f.concat(rows, 0), shape);
}

/** Pieces of one size, one upon the other; the axis along which they count then goes to its place. */
function inStack(f: Functional, pieces: readonly Node[], axis: number, { shape }: TensorType): Node {
  const layers = pieces.map((piece) => f.reshape(piece, [1, ...piece.type.shape]));
  const axes = shape.map((_, a) => a + 1);
  return f.reshape(f.permute(f.concat(layers, 0), [...axes.slice(0, axis), 0, ...axes.slice(axis)]), shape);
}
