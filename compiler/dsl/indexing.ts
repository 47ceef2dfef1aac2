/** What is chosen, moved and written by indices that the model computes. */
import { broadcastShapes, formatShape } from '../ir/index.ts';
import { argument, optional, takes, tensor, whole, type Argument } from './arguments.ts';
import { constant } from './constants.ts';
import { axisOf, misuse, Tensor } from './tensor.ts';
import { currentTrace } from './trace.ts';

const f = () => currentTrace().f;
const axis = whole('axis');

/**
 * Elements of x chosen along an axis (the last unless told) by an integer tensor of as many axes, of which the others broadcast:
 * out[i, j] = x[i, index[i, j]]. NumPy's take_along_axis. Indices are clamped to the axis.
 */
export const takeAlong = takes(
  'takeAlong',
  [tensor('x'), tensor('index'), optional(axis)],
  (x: Tensor, index: Tensor, axis = -1) =>
    new Tensor(f().takeAlong(x.node, index.node, axisOf(axis, x.rank, formatShape(x.shape)))),
);

/** Rows of x along an axis, the first unless told: the axis is replaced by those of the integer tensor. NumPy's take. */
export const take = takes(
  'take',
  [tensor('x'), tensor('index'), optional(axis)],
  (x: Tensor, index: Tensor, axis = 0) => {
    const at = axisOf(axis, x.rank, formatShape(x.shape));
    const flat = index.reshape(...x.shape.map((_, i) => (i === at ? index.shape.reduce((n, size) => n * size, 1) : 1)));
    return takeAlong(x, flat, at).reshape(...x.shape.toSpliced(at, 1, ...index.shape));
  },
);

/**
 * x with `updates` added where an integer tensor says, along an axis (the last unless told): out[i, index[i, j]] += updates[i, j]. The
 * two broadcast. Updates of one place are added in their order, the same every time; those of places that x has not are dropped.
 */
export const scatterAdd = takes(
  'scatterAdd',
  [tensor('x'), tensor('index'), tensor('updates'), optional(axis)],
  (x: Tensor, index: Tensor, updates: Tensor, axis = -1) => {
    const at = axisOf(axis, x.rank, formatShape(x.shape));
    const sum = new Tensor(f().scatterAdd(index.node, updates.node, at, x.shape[at]));
    const total = x.add(sum);
    if (formatShape(total.shape) === formatShape(x.shape)) return total;
    const why = `x is ${formatShape(x.shape)}, updates make ${formatShape(sum.shape)}`;
    throw misuse('scatterAdd: the updates are of more than x', why, 'broadcast x, or reduce the updates');
  },
);

/** The elements in the opposite order along an axis, or several. */
export const flip = takes(
  'flip',
  [tensor('x'), argument('axes', 'an axis or a list of axes', isAxes)],
  (x: Tensor, axes: number | number[]) => {
    const list = [axes].flat().map((axis) => axisOf(axis, x.rank, formatShape(x.shape)));
    const sorted = [...new Set(list)].sort((a, b) => a - b);
    if (sorted.length < list.length)
      throw misuse('flip: an axis is given twice', `axes ${formatShape(list)}`, 'give each axis once');
    return new Tensor(f().flip(x.node, sorted));
  },
);

function isAxes(value: unknown): boolean {
  const list = [value].flat();
  return list.length > 0 && list.every((axis) => Number.isSafeInteger(axis));
}

const START: Argument = {
  name: 'start',
  expects: (value) => {
    const what = 'a whole number of at least 0, or an i32 tensor';
    if (Number.isSafeInteger(value) && (value as number) >= 0) return undefined;
    return tensor('start', what).expects(value) ?? ((value as Tensor).dtype === 'i32' ? undefined : what);
  },
};

/**
 * x with `value` in place of its elements from `start` on, along an axis. `start` may be computed (i32: one for all, or of a shape that
 * broadcasts to x with size 1 along the axis, such as one for each example); what would lie outside of x is dropped. One row of a cache:
 * `e.update(cache, setSlice(cache, 1, position, keys))` writes that row and nothing else.
 */
export const setSlice = takes(
  'setSlice',
  [tensor('x'), axis, START, tensor('value')],
  (x: Tensor, axis: number, start: number | Tensor, value: Tensor) => {
    const at = axisOf(axis, x.rank, formatShape(x.shape));
    const { shape } = x;
    const fits =
      value.rank === x.rank && value.shape.every((n, i) => n === shape[i] || n === 1 || (i === at && n < shape[i]));
    if (!fits || value.dtype !== x.dtype) {
      const why = `x is ${x.dtype}${formatShape(shape)}, value ${value.dtype}${formatShape(value.shape)}`;
      throw misuse(
        'setSlice: the value is no part of x',
        why,
        'give it as many axes, and sizes that broadcast to those of x',
      );
    }
    const length = value.shape[at];
    if (typeof start === 'number' && start + length > shape[at]) {
      const why = `axis ${at} of ${formatShape(shape)}, ${length} from ${start} on`;
      throw misuse('setSlice: x has no such elements', why, `start at ${shape[at] - length} or before`);
    }
    const lines = shape.with(at, 1);
    const first = typeof start === 'number' ? constant(start, [], 'i32') : start;
    if (formatShape(broadcastShapes(first.shape, lines) ?? []) !== formatShape(lines)) {
      const why = `x is ${formatShape(shape)}, start ${formatShape(first.shape)}`;
      throw misuse('setSlice: start does not broadcast to x', why, `give it size 1 along axis ${at}`);
    }
    const whole = value.broadcastTo(...shape.with(at, length));
    return new Tensor(f().op('write_slice', [whole.node, first.node, x.node], { axis: at }));
  },
);
