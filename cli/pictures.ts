/** Samples as pictures: values to bytes, grids, PNG files. Rows and columns of pixels, channels last, as PNG has them. */
import { PNG } from 'pngjs';
import { DitcError } from '../compiler/ir/error.ts';

/** A picture of 8-bit pixels; 1 channel is grey, 3 are red, green and blue. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  readonly channels: 1 | 3;
  readonly pixels: Uint8Array;
}

/** Width of the black border around and between the pictures of a grid: what torchvision's make_grid draws. */
const PADDING = 2;

/**
 * N pictures from samples [N,C,H,W] with the values of black and white; beyond them they are clipped. `first` is the number
 * of the first, for errors.
 * @throws DitcError `not-finite` for NaN, which has no colour, unless it is allowed: then it is black.
 */
export function toPictures(
  values: Float32Array,
  [N, C, H, W]: readonly number[],
  [black, white]: readonly [number, number],
  { first = 0, allowNonFinite = false } = {},
): Picture[] {
  const channels = C as 1 | 3;
  return Array.from({ length: N }, (_, n) => {
    const pixels = new Uint8Array(H * W * C);
    for (let c = 0; c < C; c++) {
      const from = (n * C + c) * H * W;
      for (let i = 0; i < H * W; i++) {
        const value = (values[from + i] - black) / (white - black);
        if (Number.isNaN(value) && !allowNonFinite) throw notFinite(first + n);
        pixels[i * C + c] = Math.floor(Math.min(Math.max(value || 0, 0), 1) * 255 + 0.5);
      }
    }
    return { width: W, height: H, channels, pixels };
  });
}

function notFinite(n: number): DitcError {
  const what = `sample ${n} contains NaN`;
  const fix = 'check the weights; ditc doctor tests whether the adapter computes right';
  return new DitcError({ code: 'not-finite', what, why: 'the model overflowed, or its weights do', fix });
}

/** Smaller pictures are drawn larger in a grid, in whole multiples until they have so many pixels a side. */
const VISIBLE_SIDE = 64;

/** How a grid is laid out; what is left out suits the pictures. */
export interface GridLayout {
  /** Pictures in a row. */
  readonly columns?: number;
  /** Pixels a side that a pixel of the pictures becomes. */
  readonly scale?: number;
}

/** The PNG file of pictures of one size, at least one, in a grid. */
export function encodeGrid(pictures: readonly Picture[], { columns, scale }: GridLayout = {}): Uint8Array {
  const [{ width, height }] = pictures;
  // The released sampler's row of 4, until there are too many for it.
  const across = Math.min(columns ?? (pictures.length <= 8 ? 4 : 10), pictures.length);
  const times = scale ?? Math.ceil(VISIBLE_SIDE / Math.max(width, height));
  return encodePng(
    grid(
      pictures.map((picture) => enlarge(picture, times)),
      across,
    ),
  );
}

/** Each pixel as `times` × `times` of its own: nothing between them is made up. */
export function enlarge(picture: Picture, times: number): Picture {
  if (times === 1) return picture;
  const { channels } = picture;
  const [width, height] = [picture.width * times, picture.height * times];
  const pixels = new Uint8Array(width * height * channels);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const from = (Math.floor(y / times) * picture.width + Math.floor(x / times)) * channels;
      for (let c = 0; c < channels; c++) pixels[(y * width + x) * channels + c] = picture.pixels[from + c];
    }
  return { width, height, channels, pixels };
}

/** Pictures of one size in a grid, `columns` to a row. */
export function grid(pictures: readonly Picture[], columns: number): Picture {
  const [{ width: w, height: h, channels }] = pictures;
  const rows = Math.ceil(pictures.length / columns);
  const width = columns * (w + PADDING) + PADDING;
  const height = rows * (h + PADDING) + PADDING;
  const pixels = new Uint8Array(width * height * channels);
  pictures.forEach((picture, i) => {
    const left = PADDING + (i % columns) * (w + PADDING);
    const top = PADDING + Math.floor(i / columns) * (h + PADDING);
    for (let y = 0; y < h; y++) {
      const row = picture.pixels.subarray(y * w * channels, (y + 1) * w * channels);
      pixels.set(row, ((top + y) * width + left) * channels);
    }
  });
  return { width, height, channels, pixels };
}

/** The PNG file of a picture. */
export function encodePng({ width, height, channels, pixels }: Picture): Uint8Array {
  const png = new PNG({ width, height });
  png.data = Buffer.from(pixels.buffer, pixels.byteOffset, pixels.byteLength);
  const colorType = channels === 1 ? 0 : 2;
  return PNG.sync.write(png, { colorType, inputColorType: colorType, inputHasAlpha: false, bitDepth: 8 });
}
