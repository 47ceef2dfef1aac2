/** What is chosen by indices, padded by them, and made of them. */
import { constant, iota, take, takeAlong, where, type Tensor } from '../../../compiler/dsl/index.ts';
import type { Call, Ops } from '../call.ts';

/** Indices from the front: negative ones count from the end. */
export function fromFront(index: Tensor, size: number): Tensor {
  return where(index.lt(0), index.add(size), index);
}

function gather(call: Call): Tensor {
  const x = call.tensor();
  const axis = call.axis(call.int('axis', 0), x.rank);
  const size = x.shape[axis];
  const indices = call.value(1);
  if (indices.folds) {
    const places = call.numbers(1, 'indices')!.map((place) => (place < 0 ? place + size : place));
    const outside = places.find((place) => !(place >= 0 && place < size));
    if (outside !== undefined)
      throw call.fail(`there is no element ${outside} of ${size}`, undefined, undefined, 'shape');
    if (!indices.shape.length) return x.slice(axis, places[0], places[0] + 1).squeeze(axis);
    return take(x, constant(places, [...indices.shape], 'i32'), axis);
  }
  const index = fromFront(indices.tensor(), size);
  return axis === 0 ? x.gather(index) : take(x, index, axis);
}

function gatherElements(call: Call): Tensor {
  const [x, index] = [call.tensor(0), call.tensor(1)];
  const axis = call.axis(call.int('axis', 0), x.rank);
  if (index.rank !== x.rank) throw call.damaged('the indices have other axes than the operand');
  // Other axes may be shorter than the operand's.
  const seen = index.shape.reduce((y, n, i) => (i === axis || n === y.shape[i] ? y : y.slice(i, 0, n)), x);
  return takeAlong(seen, fromFront(index, x.shape[axis]), axis);
}

/** Zeros, a value, or what lies near, around each axis; fewer elements where the padding is negative. */
function pad(call: Call): Tensor {
  const x = call.tensor();
  const mode = call.text('mode', 'constant');
  const given = call.version < 11 ? (call.ints('pads') ?? call.ints('paddings')) : call.numbers(1, 'padding');
  const axes = (call.numbers(3, 'axes') ?? x.shape.map((_, i) => i)).map((axis) => call.axis(axis, x.rank));
  if (given?.length !== 2 * axes.length) throw call.damaged('there are not two paddings for each axis');
  const value = call.version < 11 ? call.float('value', 0) : (call.number(2, 'value') ?? 0);
  return axes.reduce((y, axis, i) => {
    const [before, after] = [given[i], given[i + axes.length]];
    return mode === 'constant'
      ? padAxis(y, axis, [before, after], value)
      : padNear(call, y, axis, [before, after], mode);
  }, x);
}

function padAxis(x: Tensor, axis: number, [before, after]: readonly [number, number], value: number): Tensor {
  const inner = before < 0 || after < 0 ? x.slice(axis, Math.max(-before, 0), x.shape[axis] + Math.min(after, 0)) : x;
  if (before <= 0 && after <= 0) return inner;
  const along = (n: number) => x.shape.map((_, i) => (i === axis ? Math.max(n, 0) : 0));
  return inner.pad(along(before), along(after), value);
}

/** Which element stands for one beyond the ends. */
const NEAR: Readonly<Record<string, (at: number, n: number) => number>> = {
  edge: (at, n) => Math.min(Math.max(at, 0), n - 1),
  reflect: (at, n) => (at < 0 ? -at : at >= n ? 2 * (n - 1) - at : at),
  wrap: (at, n) => ((at % n) + n) % n,
};

function padNear(
  call: Call,
  x: Tensor,
  axis: number,
  [before, after]: readonly [number, number],
  mode: string,
): Tensor {
  if (!before && !after) return x;
  const n = x.shape[axis];
  const near = Object.hasOwn(NEAR, mode) ? NEAR[mode] : undefined;
  if (!near) throw call.fail(`mode ${mode} is not read`, undefined, 'pad with constant, edge, reflect or wrap');
  const places = Array.from({ length: call.table(n + before + after) }, (_, i) => near(i - before, n));
  if (!places.length || places.some((place) => place < 0 || place >= n)) {
    const why = `${before} and ${after} around ${n} elements`;
    throw call.fail('it reaches over more than there is', why, 'pad less', 'shape');
  }
  return take(x, constant(places, [places.length], 'i32'), axis);
}

/** One of two values where the index of the new axis is the operand's. */
function oneHot(call: Call): Tensor {
  const index = call.tensor(0);
  const [depth, values] = [call.number(1, 'depth') ?? 0, call.tensor(2)];
  const axis = call.axis(call.int('axis', -1), index.rank + 1);
  const apart = fromFront(index.cast('i32'), depth).unsqueeze(axis);
  const shape = apart.shape.map((_, i) => (i === axis ? depth : 1));
  return where(apart.eq(iota(shape, axis, 'i32')), values.slice(0, 1, 2).squeeze(0), values.slice(0, 0, 1).squeeze(0));
}

/** The upper or lower part of the last two axes. */
function triangle(call: Call): Tensor {
  const x = call.tensor();
  const diagonal = call.number(1, 'diagonal') ?? 0;
  const [rows, columns] = x.shape.slice(-2);
  const offset = iota([1, columns], 1, 'i32').sub(iota([rows, 1], 0, 'i32'));
  const isKept = call.int('upper', 1) ? offset.ge(diagonal) : offset.le(diagonal);
  if (x.dtype === 'bool') return x.and(isKept);
  return where(isKept, x, constant(0, [], x.dtype));
}

export const indexing: Ops = {
  Gather: gather,
  GatherElements: gatherElements,
  Pad: pad,
  OneHot: oneHot,
  Trilu: triangle,
};
