/** Pictures of another size. */
import { formatShape } from '../ir/index.ts';
import { argument, flag, options, takes, tensor } from './arguments.ts';
import { constant } from './constants.ts';
import { take } from './indexing.ts';
import { misuse, type Tensor } from './tensor.ts';

const MODES = ['nearest', 'bilinear', 'bicubic'] as const;

export interface ResizeOptions {
  /** `nearest` unless told. */
  mode?: (typeof MODES)[number];
  /** Of bilinear and bicubic: whether the corners' centres stay where they are, instead of their outer edges. */
  alignCorners?: boolean;
}

const SIZE = argument('size', '[height, width], whole numbers of at least 1', (value) => {
  return (
    Array.isArray(value) && value.length === 2 && value.every((n) => Number.isSafeInteger(n) && (n as number) >= 1)
  );
});
const MODE = argument('mode', 'nearest, bilinear or bicubic', (value) => MODES.some((mode) => mode === value));

/** Pictures [N,C,H,W] as [N,C,height,width], by PyTorch's `interpolate`: the nearest pixel, between the four around, or by the cubic curve through sixteen. */
export const resize = takes(
  'resize',
  [tensor('x'), SIZE, options('options', [MODE, flag('alignCorners')])],
  (
    x: Tensor,
    size: readonly [height: number, width: number],
    { mode = 'nearest', alignCorners = false }: ResizeOptions = {},
  ) => {
    if (x.rank !== 4) throw misuse('resize: x is no pictures', `it is ${formatShape(x.shape)}`, 'give [N,C,H,W]');
    const [down, across] = [size[0] / x.shape[2], size[1] / x.shape[3]];
    const between = { bilinear, bicubic, nearest: undefined }[mode];
    if (between) return between(between(x, 2, size[0], alignCorners), 3, size[1], alignCorners);
    if (Number.isInteger(down) && Number.isInteger(across)) return repeated(x, down, across);
    return nearest(nearest(x, 2, size[0]), 3, size[1]);
  },
);

/** Each pixel `down`·`across` times. */
function repeated(x: Tensor, down: number, across: number): Tensor {
  const [N, C, H, W] = x.shape;
  const wide = x.reshape(N, C, H, 1, W, 1).broadcastTo(N, C, H, down, W, across);
  return wide.reshape(N, C, H * down, W * across);
}

/** Element i of n is that at ⌊i·size/n⌋. */
function nearest(x: Tensor, axis: number, n: number): Tensor {
  const size = x.shape[axis];
  if (n === size) return x;
  if (size % n === 0) return x.slice(axis, 0, Infinity, size / n);
  return at(
    x,
    axis,
    Array.from({ length: n }, (_, i) => Math.floor((i * size) / n)),
  );
}

const at = (x: Tensor, axis: number, places: number[]): Tensor =>
  take(x, constant(places, [places.length], 'i32'), axis);

/** Where in `size` pixels each of n lies. */
const placesOf = (size: number, n: number, alignCorners: boolean): number[] =>
  Array.from({ length: n }, (_, i) => {
    if (alignCorners) return n === 1 ? 0 : (i * (size - 1)) / (n - 1);
    return ((i + 0.5) * size) / n - 0.5;
  });

/** A number for each place along an axis. */
const along = (x: Tensor, axis: number, values: number[]): Tensor =>
  constant(
    values,
    x.shape.map((_, i) => (i === axis ? values.length : 1)),
  );

function bilinear(x: Tensor, axis: number, n: number, alignCorners: boolean): Tensor {
  const size = x.shape[axis];
  if (n === size) return x;
  const places = placesOf(size, n, alignCorners).map((place) => Math.max(place, 0));
  const low = places.map((place) => Math.min(Math.floor(place), size - 1));
  const high = low.map((place) => Math.min(place + 1, size - 1));
  const weights = along(
    x,
    axis,
    places.map((place, i) => place - low[i]),
  );
  const [before, after] = [at(x, axis, low), at(x, axis, high)];
  return before.add(after.sub(before).mul(weights));
}

/** Keys' kernel at a distance, with the slope that PyTorch has. Keys 1981, equation 4. */
function cubic(distance: number, a = -0.75): number {
  const d = Math.abs(distance);
  if (d <= 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
  return d < 2 ? a * (((d - 5) * d + 8) * d - 4) : 0;
}

/** The four pixels around, weighted; those beyond the edge are as the edge is. */
function bicubic(x: Tensor, axis: number, n: number, alignCorners: boolean): Tensor {
  const size = x.shape[axis];
  if (n === size) return x;
  const places = placesOf(size, n, alignCorners);
  const taps = [-1, 0, 1, 2].map((tap) => {
    const pixels = places.map((place) => Math.floor(place) + tap);
    const inside = pixels.map((pixel) => Math.min(Math.max(pixel, 0), size - 1));
    const weights = places.map((place, i) => cubic(place - pixels[i]));
    return at(x, axis, inside).mul(along(x, axis, weights));
  });
  return taps.reduce((a, b) => a.add(b));
}
