/** Pictures of another size. */
import { formatShape } from '../ir/index.ts';
import { argument, flag, options, takes, tensor } from './arguments.ts';
import { constant } from './constants.ts';
import { take } from './indexing.ts';
import { misuse, type Tensor } from './tensor.ts';

export interface ResizeOptions {
  /** `nearest` unless told. */
  mode?: 'nearest' | 'bilinear';
  /** Of bilinear: whether the corners' centres stay where they are, instead of their outer edges. */
  alignCorners?: boolean;
}

const SIZE = argument('size', '[height, width], whole numbers of at least 1', (value) => {
  return (
    Array.isArray(value) && value.length === 2 && value.every((n) => Number.isSafeInteger(n) && (n as number) >= 1)
  );
});
const MODE = argument('mode', 'nearest or bilinear', (value) => value === 'nearest' || value === 'bilinear');

/** Pictures [N,C,H,W] as [N,C,height,width], by PyTorch's `interpolate`: the nearest pixel, or between the four around. */
export const resize = takes(
  'resize',
  [tensor('x'), SIZE, options('options', [MODE, flag('alignCorners')])],
  (
    x: Tensor,
    size: readonly [height: number, width: number],
    { mode = 'nearest', alignCorners = false }: ResizeOptions = {},
  ) => {
    if (x.rank !== 4) throw misuse('resize: x is no pictures', `it is ${formatShape(x.shape)}`, 'give [N,C,H,W]');
    const along =
      mode === 'nearest' ? nearest : (y: Tensor, axis: number, n: number) => bilinear(y, axis, n, alignCorners);
    return along(along(x, 2, size[0]), 3, size[1]);
  },
);

/** Element i of n is that at ⌊i·size/n⌋. */
function nearest(x: Tensor, axis: number, n: number): Tensor {
  const size = x.shape[axis];
  if (n % size === 0) return repeated(x, axis, n / size);
  if (size % n === 0) return x.slice(axis, 0, Infinity, size / n);
  return at(
    x,
    axis,
    Array.from({ length: n }, (_, i) => Math.floor((i * size) / n)),
  );
}

/** Each element `times` times. */
function repeated(x: Tensor, axis: number, times: number): Tensor {
  if (times === 1) return x;
  const wide = x.unsqueeze(axis + 1);
  return wide.broadcastTo(...wide.shape.with(axis + 1, times)).reshape(...x.shape.with(axis, x.shape[axis] * times));
}

const at = (x: Tensor, axis: number, places: number[]): Tensor =>
  take(x, constant(places, [places.length], 'i32'), axis);

function bilinear(x: Tensor, axis: number, n: number, alignCorners: boolean): Tensor {
  const size = x.shape[axis];
  if (n === size) return x;
  const places = Array.from({ length: n }, (_, i) => {
    if (alignCorners) return n === 1 ? 0 : (i * (size - 1)) / (n - 1);
    return Math.max(((i + 0.5) * size) / n - 0.5, 0);
  });
  const low = places.map((place) => Math.min(Math.floor(place), size - 1));
  const high = low.map((place) => Math.min(place + 1, size - 1));
  const weights = constant(
    places.map((place, i) => place - low[i]),
    x.shape.map((_, i) => (i === axis ? n : 1)),
  );
  const [before, after] = [at(x, axis, low), at(x, axis, high)];
  return before.add(after.sub(before).mul(weights));
}
