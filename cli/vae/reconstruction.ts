/** How well an autoencoder keeps pictures: what it makes of the mean of their latents, beside them. */
import type { TensorFile } from '../../runtime/checkpoint/source.ts';
import { writeValues, type Dataset } from '../../runtime/data/dataset.ts';
import type { OpenDevice } from '../../runtime/device.ts';
import type { Terminal } from '../terminal.ts';
import { Coder, type Autoencoder } from './autoencoder.ts';

/** Peak signal to noise of pictures that run from −1 to 1, in dB; what is made is shown clipped to that. */
function psnr(real: Float32Array, made: Float32Array): number {
  const error = real.reduce((sum, x, i) => sum + (x - Math.min(Math.max(made[i], -1), 1)) ** 2, 0) / real.length;
  return 10 * Math.log10(4 / error);
}

/** PSNR of decode(mean of encode), of each picture of the data. */
export async function reconstructionPsnr(
  open: OpenDevice,
  vae: Autoencoder,
  weights: TensorFile,
  data: Dataset,
  terminal: Terminal,
): Promise<number[]> {
  const setup = { weights, count: data.count };
  const encoder = await Coder.open(open, vae, 'encode', setup, terminal);
  const decoder = await Coder.open(open, vae, 'decode', setup, terminal);
  const [size, latent] = [vae.picture, vae.latent].map((shape) => shape.reduce((a, b) => a * b));
  const batch = Math.min(encoder.batch, decoder.batch);
  const found: number[] = [];
  for (let at = 0; at < data.count; at += batch) {
    const n = Math.min(batch, data.count - at);
    const images = new Float32Array(n * size);
    for (let i = 0; i < n; i++) writeValues(images, i * size, await data.read(at + i, false));
    const moments = await encoder.apply(images);
    const means = new Float32Array(n * latent);
    for (let i = 0; i < n; i++) means.set(moments.subarray(2 * i * latent, (2 * i + 1) * latent), i * latent);
    const made = await decoder.apply(means);
    const of = (pictures: Float32Array, i: number) => pictures.subarray(i * size, (i + 1) * size);
    for (let i = 0; i < n; i++) found.push(psnr(of(images, i), of(made, i)));
  }
  encoder.close();
  decoder.close();
  return found;
}
