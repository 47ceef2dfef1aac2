/**
 * Resampling of 8-bit pictures to the very bytes Pillow gives, since the published models were trained on pictures that
 * Pillow shrank: separable, weights normalised per output pixel and then rounded to 22 fractional bits, the rows first,
 * each pass rounded to bytes. Only the asked-for window of the result is computed, so a sliver of a picture that is
 * scaled up a thousandfold costs no more than its crop.
 */

/** 8-bit pixels, rows of interleaved channels. */
export interface Raster {
  readonly width: number;
  readonly height: number;
  readonly channels: number;
  readonly data: Uint8Array;
}

export interface Window {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

export interface Filter {
  /** Half its width, in pixels of the smaller of input and output. */
  readonly support: number;
  weight(x: number): number;
}

export const BOX: Filter = { support: 0.5, weight: (x) => (x > -0.5 && x <= 0.5 ? 1 : 0) };

/** Keys' cubic convolution with a = −1/2. */
export const BICUBIC: Filter = {
  support: 2,
  weight(x) {
    x = Math.abs(x);
    if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
    return x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0;
  },
};

/** Two more than the 8 bits of a pixel are kept free above: bicubic weights overshoot. */
const FRACTION_BITS = 32 - 8 - 2;
const HALF = 1 << (FRACTION_BITS - 1);

/** What each output position of one axis sums up: `count[i]` input positions from `start[i]`, weights `weights[i·most]…`. */
export interface Kernels {
  readonly start: Int32Array;
  readonly count: Int32Array;
  readonly weights: Float64Array;
  readonly most: number;
}

/** The same in fixed point. */
interface Taps extends Pick<Kernels, 'start' | 'count' | 'most'> {
  readonly k: Int32Array;
}

/** Of outputs `first` … `first + length − 1` when `from` positions become `to`. */
export function kernelsOf(from: number, to: number, first: number, length: number, filter: Filter): Kernels {
  const scale = from / to;
  const stretch = Math.max(scale, 1); // when shrinking, the filter widens to cover all that becomes one pixel
  const support = filter.support * stretch;
  const most = Math.ceil(support) * 2 + 1;
  const start = new Int32Array(length);
  const count = new Int32Array(length);
  const weights = new Float64Array(length * most);
  for (let i = 0; i < length; i++) {
    const centre = (first + i + 0.5) * scale;
    start[i] = Math.max(0, Math.trunc(centre - support + 0.5));
    count[i] = Math.min(from, Math.trunc(centre + support + 0.5)) - start[i];
    const own = weights.subarray(i * most, i * most + count[i]);
    for (let t = 0; t < count[i]; t++) own[t] = filter.weight((start[i] + t - centre + 0.5) / stretch);
    const sum = own.reduce((total, weight) => total + weight, 0);
    for (let t = 0; t < count[i]; t++) own[t] /= sum;
  }
  return { start, count, weights, most };
}

function tapsOf(from: number, to: number, first: number, length: number, filter: Filter): Taps {
  const { weights, ...places } = kernelsOf(from, to, first, length, filter);
  const k = Int32Array.from(weights, (weight) => {
    const fixed = weight * 2 ** FRACTION_BITS;
    return Math.trunc(fixed < 0 ? fixed - 0.5 : fixed + 0.5);
  });
  return { ...places, k };
}

const clip = (sum: number): number => {
  const value = sum >> FRACTION_BITS;
  return value < 0 ? 0 : value > 255 ? 255 : value;
};

/** Rows `top` … `top + rows − 1`, each resampled across. */
function across({ width, channels, data }: Raster, top: number, rows: number, taps: Taps): Uint8Array {
  const { start, count, k, most } = taps;
  const out = new Uint8Array(rows * start.length * channels);
  let to = 0;
  for (let y = 0; y < rows; y++) {
    const row = (top + y) * width;
    for (let x = 0; x < start.length; x++) {
      const from = (row + start[x]) * channels;
      for (let c = 0; c < channels; c++) {
        let sum = HALF;
        for (let t = 0, at = from + c; t < count[x]; t++, at += channels) sum += data[at] * k[x * most + t];
        out[to++] = clip(sum);
      }
    }
  }
  return out;
}

/** Rows of `stride` bytes resampled downwards; the first of them is row `top` of the picture that the taps count from. */
function down(data: Uint8Array, stride: number, top: number, taps: Taps): Uint8Array {
  const { start, count, k, most } = taps;
  const out = new Uint8Array(start.length * stride);
  const sums = new Int32Array(stride);
  for (let y = 0; y < start.length; y++) {
    sums.fill(HALF);
    for (let t = 0; t < count[y]; t++) {
      const from = (start[y] + t - top) * stride;
      const weight = k[y * most + t];
      for (let i = 0; i < stride; i++) sums[i] += data[from + i] * weight;
    }
    const to = y * stride;
    for (let i = 0; i < stride; i++) out[to + i] = clip(sums[i]);
  }
  return out;
}

/** The part `window` of the picture resampled to width × height. An axis whose size stays is copied, not filtered. */
export function resample(
  picture: Raster,
  width: number,
  height: number,
  filter: Filter,
  window: Window = { left: 0, top: 0, width, height },
): Raster {
  const { channels } = picture;
  // Unchanged sizes get taps of one input pixel: that is a copy.
  const pick = (from: number, to: number, first: number, length: number) =>
    tapsOf(from, to, first, length, from === to ? BOX : filter);
  const horizontal = pick(picture.width, width, window.left, window.width);
  const vertical = pick(picture.height, height, window.top, window.height);
  const last = window.height - 1;
  const top = vertical.start[0];
  const rows = vertical.start[last] + vertical.count[last] - top;
  const narrowed = across(picture, top, rows, horizontal);
  const data = down(narrowed, window.width * channels, top, vertical);
  return { width: window.width, height: window.height, channels, data };
}
