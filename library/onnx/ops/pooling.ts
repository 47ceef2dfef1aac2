/** The largest and the mean of windows, and of whole pictures. */
import { windows } from '../../../compiler/dsl/convolution.ts';
import { constant, type Tensor } from '../../../compiler/dsl/index.ts';
import type { Call, Ops } from '../call.ts';
import { asPicture, axesOf, span, twoAxes, type Axis } from './planes.ts';

/** What a rim holds is never the largest. */
const LOWEST = { f32: -3.4028234663852886e38, i32: -(2 ** 31) };

/** Windows that begin within the picture or the rim before it; with `ceil_mode` the last may reach beyond. */
function count({ size, stride, before, after, ...own }: Axis, ceil: boolean): number {
  const room = size + before + after - span(own);
  const floor = Math.floor(room / stride) + 1;
  return ceil && room % stride !== 0 && floor * stride < size + before ? floor + 1 : floor;
}

interface Pool {
  readonly axes: readonly Axis[];
  readonly counts: readonly number[];
}

function poolOf(call: Call, plane: readonly number[]): Pool {
  const kernel = call.ints('kernel_shape', plane.length);
  if (!kernel) throw call.damaged('it has no kernel_shape');
  const axes = twoAxes(axesOf(call, plane, kernel));
  const counts = axes.map((axis) => count(axis, call.int('ceil_mode', 0) !== 0));
  if (counts.every((n) => n >= 1)) return { axes, counts };
  throw call.fail('its window is larger than the picture', `${kernel} over ${plane}`, 'give larger pictures', 'shape');
}

/** [N,C,H',W',h,w]. */
function windowsOf(x: Tensor, { axes, counts }: Pool, value: number): Tensor {
  const pair = (of: (axis: Axis, i: number) => number) => axes.map(of) as [number, number];
  const padding = axes.map((axis, i) => {
    const after = (counts[i] - 1) * axis.stride + span(axis) - axis.size - axis.before;
    return [axis.before, Math.max(after, 0)];
  }) as unknown as [[number, number], [number, number]];
  const seen = windows(
    x,
    pair(({ kernel }) => kernel),
    { stride: pair(({ stride }) => stride), dilation: pair(({ dilation }) => dilation), padding },
    value,
  );
  return counts.reduce((y, n, i) => (y.shape[2 + i] === n ? y : y.slice(2 + i, 0, n)), seen);
}

const maxPool = (call: Call): Tensor =>
  asPicture(call, call.tensor(), (x) => {
    const rim = LOWEST[x.dtype === 'i32' ? 'i32' : 'f32'];
    return windowsOf(x, poolOf(call, call.tensor().shape.slice(2)), rim).max([4, 5]);
  });

function averagePool(call: Call): Tensor {
  return asPicture(call, call.tensor(), (x) => {
    const pool = poolOf(call, call.tensor().shape.slice(2));
    const [down, across] = pool.axes.map((axis, i) =>
      elements(axis, call.table(pool.counts[i]), call.int('count_include_pad', 0) !== 0),
    );
    const sum = windowsOf(x, pool, 0).sum([4, 5]);
    const all = down.flatMap((n) => across.map((m) => n * m));
    if (all.every((n) => n === all[0])) return sum.div(all[0]);
    return sum.div(constant(all, [down.length, across.length]));
  });
}

/** How many elements of an axis each window sees, those of the rim counted or not; what is beyond the rim never is. */
function elements(axis: Axis, counts: number, withRim: boolean): number[] {
  const [low, high] = withRim ? [-axis.before, axis.size + axis.after] : [0, axis.size];
  return Array.from({ length: counts }, (_, window) => {
    const first = window * axis.stride - axis.before;
    let seen = 0;
    for (let i = 0; i < axis.kernel; i++) {
      const at = first + i * axis.dilation;
      if (at >= low && at < high) seen++;
    }
    return seen;
  });
}

/** Over all axes after the channels, which remain as ones. */
const overPlane =
  (of: 'mean' | 'max') =>
  (call: Call): Tensor => {
    const x = call.tensor();
    return x[of](x.shape.map((_, axis) => axis).slice(2), { keepDims: true });
  };

export const pooling: Ops = {
  MaxPool: maxPool,
  AveragePool: averagePool,
  GlobalMaxPool: overPlane('max'),
  GlobalAveragePool: overPlane('mean'),
};
