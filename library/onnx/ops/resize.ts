/** Pictures of another size: each element of the result is a weighted sum of some of an axis, one axis after the other. */
import { constant, resize as nearest, take, type Tensor } from '../../../compiler/dsl/index.ts';
import type { Call, Ops } from '../call.ts';

/** Elements along an axis that one of the result is made of, each with its weight. */
type Taps = readonly { readonly at: number; readonly weight: number }[];

interface Axis {
  readonly axis: number;
  readonly from: number;
  readonly to: number;
  readonly scale: number;
}

/** More are no picture. */
const MOST_SIZE = 2 ** 16;

function resize(call: Call): Tensor {
  const x = call.tensor();
  const scaled = axesOf(call, x);
  // Of a region, what is no larger than before is another picture: a mode that is not read is refused of these axes, too.
  for (const line of scaled) placeOf(call, line);
  const lines = scaled.filter(({ from, to, scale }) => from !== to || scale !== 1);
  if (call.text('mode', 'nearest') === 'nearest') {
    const places = lines.map((line) => ({ ...line, places: nearestPlaces(call, line) }));
    if (x.rank === 4 && places.every(isPlain)) {
      const size = [2, 3].map((axis) => places.find((line) => line.axis === axis)?.to ?? x.shape[axis]);
      return nearest(x, size as [number, number]);
    }
    return places.reduce((y, line) => at(y, line.axis, line.places), x);
  }
  return lines.reduce((y, line) => weighted(call, y, line.axis, tapsOf(call, line)), x);
}

/** Whether it takes what PyTorch’s does, along a picture's own axes. */
const isPlain = ({ axis, from, to, places }: Axis & { places: readonly number[] }): boolean =>
  axis >= 2 && places.every((place, i) => place === Math.floor((i * from) / to));

function axesOf(call: Call, x: Tensor): Axis[] {
  const first = call.version < 11 ? 1 : 2;
  const list = (i: number, name: string) => {
    const found = call.numbers(i, name);
    return found?.length ? found : undefined;
  };
  const scales = call.op === 'Upsample' && call.version < 9 ? call.floats('scales') : list(first, 'scales');
  const sizes = list(3, 'sizes');
  const axes = (call.ints('axes') ?? x.shape.map((_, i) => i)).map((axis) => call.axis(axis, x.rank));
  const given = scales ?? sizes;
  if (given?.length !== axes.length) throw call.damaged('there is not one scale or size for each axis');
  const policy = call.text('keep_aspect_ratio_policy', 'stretch');
  if (policy !== 'stretch') throw call.fail(`keep_aspect_ratio_policy ${policy} is not read`);
  return axes.map((axis, i) => {
    const from = x.shape[axis];
    // In float32, as others compute it: ⌊3·1.3333…⌋ is 4.
    const to = scales ? Math.floor(Math.fround(from * Math.fround(scales[i]))) : given[i];
    if (!(to >= 1 && to <= MOST_SIZE))
      throw call.fail(`axis ${axis} would have ${to} elements`, undefined, undefined, 'shape');
    return { axis, from, to, scale: scales ? scales[i] : to / from };
  });
}

/** Where element i of the result lies on the operand's axis. */
function placeOf(call: Call, { from, to, scale }: Axis): (i: number) => number {
  const mode = call.text('coordinate_transformation_mode', call.version < 11 ? 'asymmetric' : 'half_pixel');
  switch (mode) {
    case 'half_pixel':
      return (i) => (i + 0.5) / scale - 0.5;
    case 'half_pixel_symmetric': {
      const shift = (from / 2) * (1 - to / (scale * from));
      return (i) => shift + (i + 0.5) / scale - 0.5;
    }
    case 'pytorch_half_pixel':
      return (i) => (to > 1 ? (i + 0.5) / scale - 0.5 : 0);
    case 'align_corners':
      return (i) => (to > 1 ? (i * (from - 1)) / (scale * from - 1) : 0);
    case 'asymmetric':
      return (i) => i / scale;
    default:
      throw call.fail(`coordinate_transformation_mode ${mode} is not read`);
  }
}

function nearestPlaces(call: Call, line: Axis): number[] {
  const mode = call.text('nearest_mode', call.version < 11 ? 'floor' : 'round_prefer_floor');
  const rounds: Readonly<Record<string, (at: number) => number>> = {
    floor: Math.floor,
    ceil: Math.ceil,
    round_prefer_floor: (at) => Math.ceil(at - 0.5),
    round_prefer_ceil: (at) => Math.floor(at + 0.5),
  };
  if (!Object.hasOwn(rounds, mode)) throw call.damaged(`nearest_mode is ${mode}`);
  const place = placeOf(call, line);
  return Array.from({ length: line.to }, (_, i) => Math.min(Math.max(rounds[mode](place(i)), 0), line.from - 1));
}

/** Of |d| below 1. */
const linear = (d: number): number => Math.max(1 - Math.abs(d), 0);

/** Keys 1981, of |d| below 2. */
const cubic = (a: number) => (d: number) => {
  const x = Math.abs(d);
  if (x < 1) return (a + 2) * x ** 3 - (a + 3) * x ** 2 + 1;
  return x < 2 ? a * x ** 3 - 5 * a * x ** 2 + 8 * a * x - 4 * a : 0;
};

function tapsOf(call: Call, line: Axis): Taps[] {
  const mode = call.text('mode', 'nearest');
  if (mode !== 'linear' && mode !== 'cubic' && mode !== 'bilinear') throw call.fail(`mode ${mode} is not read`);
  const isCubic = mode === 'cubic';
  const kernel = isCubic ? cubic(call.float('cubic_coeff_a', -0.75)) : linear;
  // What is made smaller is smoothed over all that it stands for.
  const reach = call.int('antialias', 0) ? Math.max(1 / line.scale, 1) : 1;
  const place = placeOf(call, line);
  const isCut = call.int('exclude_outside', 0) !== 0;
  const radius = (isCubic ? 2 : 1) * reach;
  call.table(line.to * radius);
  return Array.from({ length: line.to }, (_, i) => {
    const centre = place(i);
    const first = Math.floor(centre - radius) + 1;
    const taps = Array.from({ length: Math.floor(centre + radius) - first + 1 }, (_, k) => first + k).map((at) => ({
      at: Math.min(Math.max(at, 0), line.from - 1),
      weight: isCut && (at < 0 || at >= line.from) ? 0 : kernel((at - centre) / reach),
    }));
    const total = taps.reduce((sum, { weight }) => sum + weight, 0);
    return taps.map(({ at, weight }) => ({ at, weight: weight / total }));
  });
}

const at = (x: Tensor, axis: number, places: readonly number[]): Tensor =>
  take(x, constant(places, [places.length], 'i32'), axis);

/** More terms than these are a product with a matrix that is mostly zeros. */
const MOST_TERMS = 8;

function weighted(call: Call, x: Tensor, axis: number, taps: readonly Taps[]): Tensor {
  const most = taps.reduce((n, { length }) => Math.max(n, length), 0);
  if (most > MOST_TERMS)
    return x
      .transpose(axis, -1)
      .matmul(matrixOf(call, x.shape[axis], taps))
      .transpose(axis, -1);
  const along = x.shape.map((_, i) => (i === axis ? taps.length : 1));
  const terms = Array.from({ length: most }, (_, k) => {
    const weights = taps.map((own) => own[k]?.weight ?? 0);
    return at(x, axis, taps.map((own) => own[k]?.at ?? 0)).mul(constant(weights, along)); // prettier-ignore
  });
  return terms.reduce((sum, term) => sum.add(term));
}

/** [from, to]: what each element gives to each of the result. */
function matrixOf(call: Call, from: number, taps: readonly Taps[]): Tensor {
  const matrix = new Float64Array(call.table(from * taps.length));
  taps.forEach((own, to) => {
    for (const { at, weight } of own) matrix[at * taps.length + to] += weight;
  });
  return constant(matrix, [from, taps.length]);
}

export const resizing: Ops = { Resize: resize, Upsample: resize };
