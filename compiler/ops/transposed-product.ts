/**
 * The adjoint of windows of a value that a product contracts, as in a convolution: a product over windows of the other gradient.
 * Nothing the size of the windows is made.
 *
 * y[m, o] = Σ_{c,w} A[m, (c,w)] · x[c, o + w·d]   has the adjoint   dx[c, i] = Σ_{m,w} A[m, (c,w)] · dy[m, i − w·d]
 *
 * Reverse-mode differentiation first makes Aᵀ·dy, with a row for each element (c,w) of a window, and then adds up what windows
 * that overlap say of x. Here the sum over w becomes part of the contraction.
 *
 * Windows that are s apart have their elements taken in turns of s, w = s·v + r: row r of each turn says what dx is at s·q + r,
 *
 *   dx[c, s·q + r] = Σ_{m,v} A[m, (c, s·v + r)] · dy[m, q − v]
 *
 * as one product, of which the last turn may be filled up with zeros.
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

/** Which axis has the places of windows, how far apart they are, and how far their elements. */
interface Windows {
  readonly axis: number;
  readonly step: number;
  readonly dilation: number;
}

/**
 * Σ over windows of `dy` [… places at `axis` …, elements of a window], when a product made it with the elements among its rows and the
 * places among its columns; [… (places−1)·step + (size−1)·dilation + 1 at `axis` …]. Else undefined.
 */
export const overlapAddOfProduct = (f: Functional, dy: Node, windows: Windows): Node | undefined =>
  sumOfProduct(f, dy, windows) ?? sumBehindView(f, dy, windows);

function sumOfProduct(f: Functional, dy: Node, { axis, step, dilation }: Windows): Node | undefined {
  const split = splitProduct(dy);
  if (!split || (step > 1 && dilation > 1)) return undefined;
  const { product, joinsGroups, rows, columns, perm } = split;
  const [a, b] = product.inputs;
  const batch = product.type.shape.slice(0, -2);
  const gone = perm[perm.length - 1];
  const before = batch.length - Number(joinsGroups);
  const [element, place] = [gone - before, perm[axis] - before - rows.length];
  if (element < Number(joinsGroups) || element >= rows.length || place < 0) return undefined;
  const turns = Math.ceil(rows[element] / step);
  const reach = (turns - 1) * dilation;
  // Places between windows' ends and the value's ends are computed too: beside few windows, they are most of it.
  if (reach > columns[place] / 2) return undefined;
  const phases = step > 1 ? [step] : [];
  const left = elementsLast(
    f,
    inTurns(f, a, rows, element, step),
    rows.toSpliced(element, 1, turns, ...phases),
    element,
  );
  const right = windowsOf(f, b, { columns, place, size: turns, dilation });
  const kept = rows.toSpliced(element, 1, ...phases);
  const wider = columns.with(place, columns[place] + reach);
  const channels = joinsGroups
    ? [...batch.slice(0, -1), batch[batch.length - 1] * kept[0], ...kept.slice(1)]
    : [...batch, ...kept];
  const sum = f.reshape(f.matmul(left, right), [...channels, ...wider]);
  const moved = perm.slice(0, -1).map((from) => (from > gone ? from - 1 + phases.length : from));
  if (step === 1) return f.permute(sum, moved);
  const joined = dy.type.shape.slice(0, -1).with(axis, wider[place] * step);
  const all = f.reshape(f.permute(sum, moved.toSpliced(axis + 1, 0, gone)), joined);
  const none = joined.map(() => 0);
  return f.slice(all, none, joined.with(axis, (columns[place] - 1) * step + rows[element]));
}

/** The same of a product that is seen through views of other axes, as sums of windows along these leave it. */
function sumBehindView(f: Functional, dy: Node, windows: Windows): Node | undefined {
  const [x] = dy.inputs;
  const { shape } = dy.type;
  const { axis } = windows;
  const last = shape.length - 1;
  const list = (name: string) => attrList(dy.attrs, name);
  const isBeside = (name: string) => list(name)[axis] === 0 && list(name)[last] === 0;
  if (dy.op === 'slice' && list('step').every((n) => n === 1)) {
    if (shape[axis] !== x.type.shape[axis] || shape[last] !== x.type.shape[last]) return undefined;
    const sum = overlapAddOfProduct(f, x, windows);
    return sum && f.slice(sum, list('start').slice(0, -1), shape.slice(0, -1).with(axis, sum.type.shape[axis]));
  }
  if (dy.op === 'pad' && dy.attrs.value === 0 && isBeside('low') && isBeside('high')) {
    const sum = overlapAddOfProduct(f, x, windows);
    return sum && f.pad(sum, list('low').slice(0, -1), list('high').slice(0, -1));
  }
  if (dy.op !== 'reshape') return undefined;
  const joined = axisOfTwo(x.type.shape, shape);
  if (joined === undefined || joined === axis || joined === last) return undefined;
  const own = axis < joined ? axis : axis + 1;
  const sum = overlapAddOfProduct(f, x, { ...windows, axis: own });
  return sum && f.reshape(sum, shape.slice(0, -1).with(axis, sum.type.shape[own]));
}

/** The axis of a reshape that is two of its operand's, if all others are the operand's too. */
function axisOfTwo(from: Shape, to: Shape): number | undefined {
  if (from.length !== to.length + 1) return undefined;
  const at = to.findIndex((n, i) => n !== from[i]);
  const isRest = at >= 0 && to.slice(at + 1).every((n, i) => n === from[at + 2 + i]);
  return isRest && to[at] === from[at] * from[at + 1] ? at : undefined;
}

/** [batch, rows, K] with one axis of the rows filled up to whole turns of `step`. */
function inTurns(f: Functional, a: Node, rows: Shape, element: number, step: number): Node {
  const missing = Math.ceil(rows[element] / step) * step - rows[element];
  if (!missing) return a;
  const [batch, depth] = [a.type.shape.slice(0, -2), a.type.shape[a.type.shape.length - 1]];
  const apart = [...batch, ...rows, depth];
  const none = apart.map(() => 0);
  const whole = f.pad(f.reshape(a, apart), none, none.with(batch.length + element, missing));
  return f.reshape(whole, [...batch, (sizeOf(rows) / rows[element]) * (rows[element] + missing), depth]);
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
