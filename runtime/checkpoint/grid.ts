/** Values on a square grid at another resolution: cubic convolution over the same stretch, as positions are resampled for ViTs. */
import { BICUBIC, kernelsOf } from '../data/resample.ts';

/** `values` [from, from, width] → [to, to, width]. Where it shrinks, the kernel widens; sums are in float64. */
export function resampleGrid(values: Float32Array, from: number, to: number, width: number): Float32Array {
  const { start, count, weights, most } = kernelsOf(from, to, 0, to, BICUBIC);
  /** Rows of `stride` values, one behind the other, summed up along their number. */
  const along = (rows: Float64Array, stride: number): Float64Array => {
    const out = new Float64Array(to * stride);
    for (let i = 0; i < to; i++)
      for (let t = 0; t < count[i]; t++) {
        const weight = weights[i * most + t];
        const row = (start[i] + t) * stride;
        for (let j = 0; j < stride; j++) out[i * stride + j] += weight * rows[row + j];
      }
    return out;
  };
  const tall = along(Float64Array.from(values), from * width);
  const out = new Float32Array(to * to * width);
  for (let y = 0; y < to; y++)
    out.set(along(tall.subarray(y * from * width, (y + 1) * from * width), width), y * to * width);
  return out;
}
