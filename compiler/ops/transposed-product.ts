/**
 * The adjoint of windows of a value that a product contracts, as in a convolution: a product over windows of the other gradient.
 * Nothing the size of the windows is made.
 *
 * y[m, o] = Σ_{c,w} A[m, (c,w)] · x[c, o + w·d]   has the adjoint   dx[c, i] = Σ_{m,w} A[m, (c,w)] · dy[m, i − w·d]
 *
 * Reverse-mode differentiation first makes Aᵀ·dy, with a row for each element (c,w) of a window, and then adds up what windows
 * that overlap say of x. Here the sum over w becomes part of the contraction.
 */
import { sizeOf, type Node, type Shape } from '../ir/index.ts';
import { attrList } from './define.ts';
import type { Functional } from './functional.ts';

/**
 * A product whose result is seen through one reshape, which splits its rows and columns, and one permutation. The reshape may join the
 * last axis of its batch, the groups of a convolution, with the first axis of the rows, the channels of a group.
 */
interface SplitProduct {
  readonly product: Node;
  readonly joinsGroups: boolean;
  /** Axes of the rows and of the columns, as the reshape gives them. */
  readonly rows: Shape;
  readonly columns: Shape;
  readonly perm: readonly number[];
}

/**
 * Σ over windows of `dy` [… places at `axis` …, elements of a window], which overlap `dilation` apart, when a product made it with
 * the elements among its rows and the places among its columns; [… places + (size−1)·dilation at `axis` …]. Else undefined.
 */
export function overlapAddOfProduct(f: Functional, dy: Node, axis: number, dilation: number): Node | undefined {
  const split = splitProduct(dy);
  if (!split) return undefined;
  const { product, joinsGroups, rows, columns, perm } = split;
  const [a, b] = product.inputs;
  const batch = product.type.shape.slice(0, -2);
  const gone = perm[perm.length - 1];
  const before = batch.length - Number(joinsGroups);
  const [element, place] = [gone - before, perm[axis] - before - rows.length];
  if (element < Number(joinsGroups) || element >= rows.length || place < 0) return undefined;
  const size = rows[element];
  // Places between windows' ends and the value's ends are computed too: beside few windows, they are most of it.
  if ((size - 1) * dilation > columns[place] / 2) return undefined;
  const kept = rows.toSpliced(element, 1);
  const left = elementsLast(f, a, rows, element);
  const right = windowsOf(f, b, { columns, place, size, dilation });
  const wider = columns.with(place, columns[place] + (size - 1) * dilation);
  const channels = joinsGroups
    ? [...batch.slice(0, -1), batch[batch.length - 1] * kept[0], ...kept.slice(1)]
    : [...batch, ...kept];
  return f.permute(
    f.reshape(f.matmul(left, right), [...channels, ...wider]),
    perm.slice(0, -1).map((from) => from - Number(from > gone)),
  );
}

function splitProduct(dy: Node): SplitProduct | undefined {
  const perm = dy.op === 'permute' ? attrList(dy.attrs, 'perm') : dy.type.shape.map((_, i) => i);
  const reshaped = dy.op === 'permute' ? dy.inputs[0] : dy;
  const product = reshaped.op === 'reshape' ? reshaped.inputs[0] : reshaped;
  if (product.op !== 'matmul') return undefined;
  const batch = product.type.shape.slice(0, -2);
  const [m, n] = product.type.shape.slice(-2);
  const { shape } = reshaped.type;
  const [own, groups] = [batch.slice(0, -1), batch[batch.length - 1]];
  if (own.some((size, i) => shape[i] !== size)) return undefined;
  const joinsGroups = batch.length > 0 && shape[own.length] !== groups;
  if (joinsGroups && shape[own.length] % groups) return undefined;
  const axes = joinsGroups ? [shape[own.length] / groups, ...shape.slice(batch.length)] : shape.slice(batch.length);
  const cut = axes.findIndex((_, i) => sizeOf(axes.slice(0, i)) === m && sizeOf(axes.slice(i)) === n && i > 0);
  return cut < 0 ? undefined : { product, joinsGroups, rows: axes.slice(0, cut), columns: axes.slice(cut), perm };
}

/** [batch, rows, K] → [batch, rows without one axis, (K, elements from last to first)]. */
function elementsLast(f: Functional, a: Node, rows: Shape, element: number): Node {
  const size = rows[element];
  const [batch, depth] = [a.type.shape.slice(0, -2), a.type.shape[a.type.shape.length - 1]];
  const apart = [...batch, ...rows, depth];
  const at = batch.length + element;
  const first = f.permute(f.reshape(a, apart), [at, ...apart.map((_, i) => i).filter((i) => i !== at)]);
  const backwards = f.sub(f.constant(size - 1, 'i32', [size]), f.iota('i32', [size], 0));
  const flipped = f.gather(first, backwards);
  const last = f.permute(flipped, [...flipped.type.shape.keys()].slice(1).concat(0));
  return f.reshape(last, [...batch, sizeOf(rows) / size, depth * size]);
}

/** [batch, K, columns] → [batch, (K, elements), columns with room for all windows that meet an element]. */
function windowsOf(
  f: Functional,
  b: Node,
  at: { columns: Shape; place: number; size: number; dilation: number },
): Node {
  const { columns, place, size, dilation } = at;
  const [depth, lead] = [b.type.shape[b.type.shape.length - 2], b.type.shape.slice(0, -2)];
  const axis = lead.length + 1 + place;
  const shape = [...lead, depth, ...columns];
  const around = shape.map((_, i) => (i === axis ? (size - 1) * dilation : 0));
  const windows = f.unfold(f.pad(f.reshape(b, shape), around, around), axis, size, 1, dilation);
  const axes = [...windows.type.shape.keys()];
  const [elements, upTo] = [axes[axes.length - 1], lead.length + 1];
  const moved = f.permute(windows, [...axes.slice(0, upTo), elements, ...axes.slice(upTo, -1)]);
  return f.reshape(moved, [...lead, depth * size, sizeOf(moved.type.shape.slice(upTo + 1))]);
}
