/**
 * Latents drawn from the moments that a VAE gave: mean + √variance·z at each reading, another z each epoch, times the factor
 * that gives latents about unit variance. Kingma & Welling 2014; the clamp is that of models/posterior.ts.
 */
import { fillNormal, keyOf } from '../random.ts';
import type { Draw } from './dataset.ts';

const LOG_VARIANCE = [-30, 20] as const;

/** Draws [C,H,W] from moments [2C,H,W], means first. z is a function of (seed, epoch, example) alone. */
export function drawLatents(
  moments: Float32Array,
  example: number,
  { seed, epoch }: Draw,
  scale: number,
): Float32Array {
  const size = moments.length / 2;
  const latents = new Float32Array(size);
  fillNormal(latents, keyOf(seed, `latents of epoch ${epoch}`), example * roundUp(size), 1);
  for (let i = 0; i < size; i++) {
    const logVariance = Math.min(Math.max(moments[size + i], LOG_VARIANCE[0]), LOG_VARIANCE[1]);
    latents[i] = scale * (moments[i] + Math.exp(0.5 * logVariance) * latents[i]);
  }
  return latents;
}

/** Streams of random numbers begin at whole blocks of Philox. */
const roundUp = (n: number): number => Math.ceil(n / 4) * 4;
