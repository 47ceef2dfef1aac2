/** A decoded picture as one example of the model's shape: cropped as the published models' data was, channels first. */
import { BICUBIC, BOX, resample, type Raster } from './resample.ts';

/** Channels, height, width. */
export type ImageShape = readonly [channels: number, height: number, width: number];

/**
 * Cut to width × height about the centre: halved by box filter while it stays at least that large, then scaled by the
 * bicubic filter until one side fits, then cropped. For squares it is ADM's crop (Dhariwal & Nichol 2021), byte for byte.
 */
export function centreCrop(picture: Raster, width: number, height: number): Raster {
  while (picture.width >= 2 * width && picture.height >= 2 * height)
    picture = resample(picture, picture.width >> 1, picture.height >> 1, BOX);
  const scale = Math.max(width / picture.width, height / picture.height);
  const scaledWidth = roundHalfEven(picture.width * scale);
  const scaledHeight = roundHalfEven(picture.height * scale);
  const left = (scaledWidth - width) >> 1;
  const top = (scaledHeight - height) >> 1;
  return resample(picture, scaledWidth, scaledHeight, BICUBIC, { left, top, width, height });
}

/** Python's round(), which decided the sizes. */
function roundHalfEven(x: number): number {
  const floor = Math.floor(x);
  return x - floor === 0.5 ? floor + (floor & 1) : Math.round(x);
}

/** Red, green, blue and opacity laid on white. */
function onWhite({ width, height, data }: Raster): Raster {
  const opaque = new Uint8Array(width * height * 3);
  for (let to = 0, from = 0; to < opaque.length; from += 4) {
    const alpha = data[from + 3];
    for (let c = 0; c < 3; c++) opaque[to++] = Math.round(255 + ((data[from + c] - 255) * alpha) / 255);
  }
  return { width, height, channels: 3, data: opaque };
}

/** Luma of BT.601 in 16-bit fixed point, as Pillow converts to grey. */
function toGrey({ width, height, data }: Raster): Raster {
  const grey = new Uint8Array(width * height);
  for (let i = 0, from = 0; i < grey.length; i++, from += 3)
    grey[i] = (data[from] * 19595 + data[from + 1] * 38470 + data[from + 2] * 7471 + 0x8000) >>> 16;
  return { width, height, channels: 1, data: grey };
}

/** The picture, of 1, 3 or 4 channels, as bytes [C,H,W]. One channel becomes several by repetition. */
export function fitPicture(picture: Raster, [channels, height, width]: ImageShape): Uint8Array {
  if (picture.channels === 4) picture = onWhite(picture);
  if (picture.channels === 3 && channels === 1) picture = toGrey(picture);
  const { data, channels: held } = centreCrop(picture, width, height);
  if (channels === held && held === 1) return data;
  const plane = width * height;
  const out = new Uint8Array(channels * plane);
  for (let c = 0; c < channels; c++) {
    const source = held === 1 ? 0 : c;
    for (let i = 0; i < plane; i++) out[c * plane + i] = data[i * held + source];
  }
  return out;
}
