/** Other shapes and orders of the same elements. */
import { concat, flip, type Tensor } from '../../../compiler/dsl/index.ts';
import type { Call, Made, Ops } from '../call.ts';

/** 0 is the size that the operand has there, −1 what is left. */
function reshape(call: Call): Tensor {
  const x = call.tensor();
  const wanted = call.version < 5 ? call.ints('shape') : call.numbers(1, 'shape');
  if (!wanted) throw call.damaged('it has no shape');
  const sizes = call.int('allowzero', 0) ? wanted : wanted.map((n, i) => (n === 0 ? (x.shape[i] ?? 0) : n));
  return x.reshape(...sizes);
}

function flatten(call: Call): Tensor {
  const x = call.tensor();
  const axis = call.int('axis', 1);
  const at = axis === x.rank ? axis : call.axis(axis, x.rank);
  const [rows, columns] = [x.shape.slice(0, at), x.shape.slice(at)];
  return x.reshape(...[rows, columns].map((sizes) => sizes.reduce((n, size) => n * size, 1)));
}

/** Axes of the operand, or of the result. */
const axesOf = (call: Call, given: readonly number[], rank: number): number[] =>
  given.map((axis) => call.axis(axis, rank));

function squeeze(call: Call): Tensor {
  const x = call.tensor();
  const given = call.numbersSince(13, 1, 'axes');
  const axes = given ? axesOf(call, given, x.rank) : x.shape.flatMap((n, i) => (n === 1 ? [i] : []));
  const wide = axes.find((axis) => x.shape[axis] !== 1);
  if (wide !== undefined)
    throw call.fail(`axis ${wide} is of ${x.shape[wide]} elements`, undefined, undefined, 'shape');
  return x.reshape(...x.shape.filter((_, i) => !axes.includes(i)));
}

function unsqueeze(call: Call): Tensor {
  const x = call.tensor();
  const given = call.numbersSince(13, 1, 'axes');
  if (!given) throw call.damaged('it has no axes');
  const axes = axesOf(call, given, x.rank + given.length).sort((a, b) => a - b);
  return x.reshape(...axes.reduce((shape, axis) => shape.toSpliced(axis, 0, 1), x.shape));
}

function transpose(call: Call): Tensor {
  const x = call.tensor();
  const perm = call.ints('perm', x.rank) ?? x.shape.map((_, i) => x.rank - 1 - i);
  if (new Set(perm).size < perm.length) throw call.damaged(`perm is ${perm}`);
  return x.permute(...perm);
}

/** Operands of no elements, such as the shape of a number, add nothing. */
function join(call: Call): Made {
  const axis = call.int('axis');
  const places = Array.from({ length: call.count }, (_, i) => i);
  const parts = places.filter((i) => call.value(i).shape.every((n) => n > 0));
  if (!parts.length) return call.known(0, 'operand');
  const xs = parts.map((i) => call.tensor(i));
  if (axis === undefined) throw call.damaged('it has no axis');
  return concat(xs, call.axis(axis, xs[0].rank));
}

function split(call: Call): Made[] {
  const x = call.tensor();
  const axis = call.axis(call.int('axis', 0), x.rank);
  let end = 0;
  return sizesOf(call, x.shape[axis]).map((size) => piece(x, axis, end, (end += size)));
}

function sizesOf(call: Call, length: number): number[] {
  const given = call.numbersSince(13, 1, 'split');
  const count = call.table(given?.length ?? call.int('num_outputs', call.outputs.length));
  const each = Math.ceil(length / count);
  const sizes = given ?? [...Array<number>(Math.max(count - 1, 0)).fill(each), length - each * (count - 1)];
  const isRight = sizes.every((n) => Number.isInteger(n) && n >= 0) && sizes.reduce((a, b) => a + b, 0) === length;
  if (isRight) return sizes;
  throw call.damaged(`${length} elements cannot be ${given ? `pieces of ${given}` : `${count} pieces`}`);
}

function slice(call: Call): Made {
  const { shape, dtype } = call.value(0);
  const list = (i: number, name: string) => call.numbersSince(10, i, name);
  const [starts, ends] = [list(1, 'starts'), list(2, 'ends')];
  if (!starts || starts.length !== ends?.length) throw call.damaged('starts and ends are not one for each axis');
  const axes = (list(3, 'axes') ?? starts.map((_, i) => i)).map((axis) => call.axis(axis, shape.length));
  const steps = (call.version < 10 ? undefined : call.numbers(4, 'steps')) ?? starts.map(() => 1);
  if (axes.length !== starts.length || steps.length !== starts.length || steps.includes(0))
    throw call.damaged('axes and steps are not one for each start');
  const ranges = axes.map((axis, i) => rangeOf(shape[axis], { start: starts[i], end: ends[i], step: steps[i] }));
  const left = axes.reduce((sizes, axis, i) => sizes.with(axis, ranges[i].count), [...shape]);
  if (left.includes(0)) return { dtype, shape: left, data: [] };
  return axes.reduce((y, axis, i) => cut(y, axis, ranges[i]), call.tensor());
}

interface Range {
  readonly first: number;
  readonly step: number;
  readonly count: number;
}

/** Elements from `start` to before `end`, backwards where the step is negative; what lies outside is cut off. */
function rangeOf(n: number, { start, end, step }: Record<'start' | 'end' | 'step', number>): Range {
  const place = (at: number, low: number, high: number) => Math.min(Math.max(at < 0 ? at + n : at, low), high);
  const [low, high] = step > 0 ? [0, n] : [-1, n - 1];
  const [first, last] = [place(start, step > 0 ? 0 : Math.min(0, n - 1), high), place(end, low, high)];
  return { first, step, count: Math.max(Math.ceil((last - first) / step), 0) };
}

function cut(x: Tensor, axis: number, { first, step, count }: Range): Tensor {
  const size = Math.abs(step);
  const length = (count - 1) * size + 1;
  if (step > 0) return x.slice(axis, first, first + length, size);
  const from = x.shape[axis] - 1 - first;
  return flip(x, axis).slice(axis, from, from + length, size);
}

/** Of none, there are no elements: shapes are cut to nothing and joined again. */
const piece = (x: Tensor, axis: number, from: number, to: number): Made =>
  to > from ? x.slice(axis, from, to) : { dtype: x.dtype, shape: x.shape.with(axis, 0), data: [] };

/** To the larger of both in each axis. */
function expand(call: Call): Tensor {
  const x = call.tensor();
  const wanted = call.numbers(1, 'shape') ?? [];
  const rank = Math.max(wanted.length, x.rank);
  const at = (sizes: readonly number[], i: number) => sizes[i - (rank - sizes.length)] ?? 1;
  const shape = Array.from({ length: rank }, (_, i) => {
    const [own, other] = [at(x.shape, i), at(wanted, i)];
    return own === 1 ? other : own;
  });
  return x.broadcastTo(...shape);
}

/** Element i of axis a is repeated with all others of it. */
function tile(call: Call): Tensor {
  const x = call.tensor();
  const repeats = call.numbers(1, 'repeats') ?? [];
  if (repeats.length !== x.rank) throw call.damaged(`repeats are ${repeats.length} for ${x.rank} axes`);
  const apart = x.reshape(...x.shape.flatMap((n) => [1, n]));
  const wide = apart.broadcastTo(...x.shape.flatMap((n, i) => [repeats[i], n]));
  return wide.reshape(...x.shape.map((n, i) => n * repeats[i]));
}

/** Channels become blocks of pixels: by default the block is the slower part of the channel (DCR). */
function depthToSpace(call: Call): Tensor {
  const { x, block } = blocks(call);
  const [N, C, H, W] = x.shape;
  const each = C / (block * block);
  const isColumn = call.choice('mode', ['DCR', 'CRD']) === 'CRD';
  const apart = isColumn ? x.reshape(N, each, block, block, H, W) : x.reshape(N, block, block, each, H, W);
  const placed = isColumn ? apart.permute(0, 1, 4, 2, 5, 3) : apart.permute(0, 3, 4, 1, 5, 2);
  return placed.reshape(N, each, H * block, W * block);
}

function spaceToDepth(call: Call): Tensor {
  const { x, block } = blocks(call);
  const [N, C, H, W] = x.shape;
  const apart = x.reshape(N, C, H / block, block, W / block, block);
  const placed =
    call.choice('mode', ['DCR', 'CRD']) === 'CRD' ? apart.permute(0, 1, 3, 5, 2, 4) : apart.permute(0, 3, 5, 1, 2, 4);
  return placed.reshape(N, C * block * block, H / block, W / block);
}

function blocks(call: Call): { x: Tensor; block: number } {
  const [x, block] = [call.tensor(), call.int('blocksize', 0)];
  const divides = call.op === 'DepthToSpace' ? [x.shape[1] / (block * block)] : x.shape.slice(2).map((n) => n / block);
  if (x.rank === 4 && block > 0 && divides.every(Number.isInteger)) return { x, block };
  throw call.fail(`blocks of ${block} do not fit [${x.shape}]`, undefined, undefined, 'shape');
}

export const layout: Ops = {
  Reshape: reshape,
  Flatten: flatten,
  Squeeze: squeeze,
  Unsqueeze: unsqueeze,
  Transpose: transpose,
  Concat: join,
  Split: split,
  Slice: slice,
  Expand: expand,
  Tile: tile,
  DepthToSpace: depthToSpace,
  SpaceToDepth: spaceToDepth,
};
