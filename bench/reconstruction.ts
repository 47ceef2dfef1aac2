/**
 * How well an autoencoder keeps pictures, those it was not trained on: PSNR of decode(mean of encode), in dB, of each class.
 *
 *     npx tsx bench/reconstruction.ts VAE.ts WEIGHTS DATA
 */
import { withDevice, withWeights } from '../cli/gpu.ts';
import { processTerminal } from '../cli/terminal.ts';
import { Coder, loadAutoencoder } from '../cli/vae/autoencoder.ts';
import { writeValues } from '../runtime/data/dataset.ts';
import { openData } from '../runtime/node/data/open.ts';

const [model, weights, path] = process.argv.slice(2);
if (!path) {
  console.error('usage: npx tsx bench/reconstruction.ts VAE.ts WEIGHTS DATA');
  process.exit(2);
}
const vae = loadAutoencoder(model);
const sizeOf = (shape: readonly number[]) => shape.reduce((a, b) => a * b);
const [size, latent] = [sizeOf(vae.picture), sizeOf(vae.latent)];
const data = await openData(path, { shape: vae.picture });

/** Pictures run from −1 to 1, and what is made is shown clipped to that. */
function psnr(real: Float32Array, made: Float32Array): number {
  const error = real.reduce((sum, x, i) => sum + (x - Math.min(Math.max(made[i], -1), 1)) ** 2, 0) / real.length;
  return 10 * Math.log10(4 / error);
}

const values = await withWeights(weights, (file) =>
  withDevice(async (open) => {
    const setup = { weights: file!, count: data.count };
    const terminal = processTerminal();
    const encoder = await Coder.open(open, vae, 'encode', setup, terminal);
    const decoder = await Coder.open(open, vae, 'decode', setup, terminal);
    const found: number[] = [];
    const batch = Math.min(encoder.batch, decoder.batch);
    for (let at = 0; at < data.count; at += batch) {
      const n = Math.min(batch, data.count - at);
      const images = new Float32Array(n * size);
      for (let i = 0; i < n; i++) writeValues(images, i * size, await data.read(at + i, false));
      const moments = await encoder.apply(images);
      const means = new Float32Array(n * latent);
      for (let i = 0; i < n; i++) means.set(moments.subarray(2 * i * latent, (2 * i + 1) * latent), i * latent);
      const made = await decoder.apply(means);
      for (let i = 0; i < n; i++)
        found.push(psnr(images.subarray(i * size, (i + 1) * size), made.subarray(i * size, (i + 1) * size)));
    }
    encoder.close();
    decoder.close();
    return found;
  }),
);
await data.close();
const mean = (list: readonly number[]) => list.reduce((a, b) => a + b, 0) / list.length;
data.classes.forEach((name, label) => {
  const own = values.filter((_, i) => data.labels[i] === label);
  if (own.length) console.log(`${name.padEnd(24)} ${String(own.length).padStart(5)}  ${mean(own).toFixed(2)} dB`);
});
console.log(`${'all'.padEnd(24)} ${String(values.length).padStart(5)}  ${mean(values).toFixed(2)} dB`);
