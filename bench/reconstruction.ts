/**
 * How well an autoencoder keeps pictures, those it was not trained on: PSNR of decode(mean of encode), in dB, of each class.
 *
 *     npx tsx bench/reconstruction.ts VAE.ts WEIGHTS DATA
 */
import { withDevice, withWeights } from '../cli/gpu.ts';
import { processTerminal } from '../cli/terminal.ts';
import { loadAutoencoder } from '../cli/vae/autoencoder.ts';
import { reconstructionPsnr } from '../cli/vae/reconstruction.ts';
import { openData } from '../runtime/node/data/open.ts';

const [model, weights, path] = process.argv.slice(2);
if (!path) {
  console.error('usage: npx tsx bench/reconstruction.ts VAE.ts WEIGHTS DATA');
  process.exit(2);
}
const vae = loadAutoencoder(model);
const data = await openData(path, { shape: vae.picture });
const values = await withWeights(weights, (file) =>
  withDevice((open) => reconstructionPsnr(open, vae, file!, data, processTerminal())),
);
await data.close();
const mean = (list: readonly number[]) => list.reduce((a, b) => a + b, 0) / list.length;
data.classes.forEach((name, label) => {
  const own = values.filter((_, i) => data.labels[i] === label);
  if (own.length) console.log(`${name.padEnd(24)} ${String(own.length).padStart(5)}  ${mean(own).toFixed(2)} dB`);
});
console.log(`${'all'.padEnd(24)} ${String(values.length).padStart(5)}  ${mean(values).toFixed(2)} dB`);
