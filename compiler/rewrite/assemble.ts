/**
 * What the gradients of cuts add up to: each piece padded with zeros to the shape of the whole, all of them summed. Where the
 * pieces fill the whole, the sum is their concatenation, here along a first axis: piece after piece in memory. Kernels then
 * write the pieces straight into their places (schedule/wholes.ts). The algebra is exact: all that is added are zeros.
 *
 * Before: pad(a) + pad(b) + pad(c), b from row 1 on, … : [m, 3·n]       After: permute(concat(a, b, c)) : [3, m, n] → [m, 3, n]
 */
import { byteSize, rebuild, sizeOf, type Graph, type Node, type TensorType } from '../ir/index.ts';
import { attrList, attrNumber, Functional, opTable } from '../ops/index.ts';

/** Bindings start at multiples of this many bytes. */
const ALIGNMENT = 256;

export function assemble(graph: Graph): Graph {
  /** The pads that each value is the sum of. */
  const padsOf = new Map<Node, readonly Node[]>();
  const padded = new Map<Node, Node>();
  return rebuild(graph, opTable, (node, inputs, builder) => {
    if (node.op === 'pad') {
      padsOf.set(node, [node]);
      padded.set(node, inputs[0]);
    }
    const pads = node.op === 'add' ? together(node.inputs.map((input) => padsOf.get(input))) : undefined;
    if (!pads) return undefined;
    padsOf.set(node, pads);
    const tiling = tilingBy(pads, node.type);
    if (!tiling) return undefined;
    const f = new Functional(builder);
    f.like = node;
    const pieces = tiling.pads.map((pad) => padded.get(pad)!);
    return (isRow(tiling.axis, node.type) ? inRow : inStack)(f, pieces, tiling.axis, node.type);
  });
}

/** What two sums are of, unless they have a summand in common: that would be there twice. */
function together([x, y]: readonly (readonly Node[] | undefined)[]): readonly Node[] | undefined {
  const all = x && y ? [...x, ...y] : [];
  return new Set(all).size === all.length && all.length ? all : undefined;
}

/** Pads in order along the one axis on which their pieces fill what they add up to. */
interface Tiling {
  readonly axis: number;
  readonly pads: readonly Node[];
}

/** How pieces fill a shape, if each of them can be bound where it comes to lie. */
function tilingBy(pads: readonly Node[], { shape }: TensorType): Tiling | undefined {
  const axis = shape.findIndex((n, a) => n !== pads[0].inputs[0].type.shape[a]);
  if (axis < 0 || !pads.every((pad) => padsOnly(pad, axis) && startsAnywhere(pad))) return undefined;
  const startOf = (pad: Node) => attrList(pad.attrs, 'low')[axis];
  const sizeOfPiece = ({ inputs: [x] }: Node) => x.type.shape[axis];
  const inOrder = [...pads].sort((a, b) => startOf(a) - startOf(b));
  const ends = [0, ...inOrder.map((pad) => startOf(pad) + sizeOfPiece(pad))];
  const fill = inOrder.every((pad, i) => startOf(pad) === ends[i]) && ends.at(-1) === shape[axis];
  const fit = isRow(axis, { shape }) || pads.every((pad) => sizeOfPiece(pad) === sizeOfPiece(pads[0]));
  return fill && fit ? { axis, pads: inOrder } : undefined;
}

/** Whether there is nothing before an axis: pieces along it then follow each other in memory as they are. */
const isRow = (axis: number, { shape }: Pick<TensorType, 'shape'>): boolean => sizeOf(shape.slice(0, axis)) === 1;

const padsOnly = ({ op, inputs, attrs, type: { shape } }: Node, axis: number): boolean =>
  op === 'pad' &&
  attrNumber(attrs, 'value') === 0 &&
  inputs[0].type.shape.every((n, a) => (a === axis ? n < shape[a] : n === shape[a]));

/** Whether a binding may start behind a piece, and behind it as f16. */
const startsAnywhere = ({ inputs: [x] }: Node): boolean => (byteSize(x.type) / 2) % ALIGNMENT === 0;

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
