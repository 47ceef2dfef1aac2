/** What an autoencoder makes of some of the pictures it is trained on: those in a row, and below them its own. */
import { isBadExample, writeValues, type Dataset } from '../../runtime/data/dataset.ts';
import { compileArtefact, type LoadedModel } from '../model.ts';
import { toPictures } from '../pictures.ts';
import type { Preview } from './drawing.ts';

/** image f32[N,C,S,S] → image, of the same shape. */
export const RECONSTRUCTION = 'reconstruct';

const PICTURES = 8;

export function reconstructed(loaded: LoadedModel, every: number, range: readonly [number, number]): Preview {
  return {
    every,
    entries: [RECONSTRUCTION],
    compile: (device) =>
      compileArtefact(loaded, { device, entries: [RECONSTRUCTION], entryOptions: { batch: PICTURES } }),
    async draw(program, data, onStep) {
      onStep();
      const [{ name, shape }] = program.manifest.entries[RECONSTRUCTION].inputs;
      const images = await spreadOver(data, PICTURES);
      program.write(name, images);
      await program.run(RECONSTRUCTION);
      const [output] = program.manifest.entries[RECONSTRUCTION].outputs;
      const made = (await program.readOutput(RECONSTRUCTION, output.name)) as Float32Array;
      return { pictures: [images, made].flatMap((x) => toPictures(x, shape, range)), columns: PICTURES };
    },
  };
}

/** Examples from all over the data, always the same ones; those that cannot be read are stepped over. */
async function spreadOver(data: Dataset, count: number): Promise<Float32Array> {
  const size = data.shape.reduce((a, b) => a * b, 1);
  const out = new Float32Array(count * size);
  for (let n = 0; n < count; n++) {
    const first = Math.floor((n * data.count) / count);
    for (let offset = 0; offset < data.count; offset++) {
      try {
        writeValues(out, n * size, await data.read((first + offset) % data.count, false));
        break;
      } catch (error) {
        if (!isBadExample(error)) throw error;
      }
    }
  }
  return out;
}
