/** Pictures to moments, those of the mirrored pictures too, in one file or several, each written whole or not at all. */
import { DitcError } from '../../compiler/ir/index.ts';
import { writeSafetensors } from '../../runtime/checkpoint/safetensors-write.ts';
import { isBadExample, writeValues, type Dataset } from '../../runtime/data/dataset.ts';
import { ENCODED } from '../../runtime/data/encoded.ts';
import { writeAtomically } from '../../runtime/node/file.ts';
import type { Progress } from '../progress.ts';
import { allFinite } from '../../runtime/values.ts';
import type { Autoencoder, Coder } from './autoencoder.ts';
import type { EncodeJob, Shard } from './shards.ts';

/** Of the latents that would be drawn, over all elements: what the scaling factor is to bring to about 1. */
export class Spread {
  #count = 0;
  #sum = 0;
  #squares = 0;

  /** Moments [N,2L,h,w] as rows of `each` elements. */
  add(moments: Float32Array, each: number): void {
    const half = each / 2;
    for (let row = 0; row < moments.length; row += each)
      for (let i = row; i < row + half; i++) {
        this.#sum += moments[i];
        this.#squares += moments[i] ** 2 + Math.exp(Math.min(Math.max(moments[i + half], -30), 20));
      }
    this.#count += moments.length / 2;
  }

  get deviation(): number {
    return Math.sqrt(this.#squares / this.#count - (this.#sum / this.#count) ** 2);
  }
}

/** A picture that was left out, and why. */
export type LeftOut = (where: string, why: string) => void;

/** Encodes a shard's pictures and writes its file. */
export async function encodeShard(
  { vae, data, dtype }: EncodeJob,
  shard: Shard,
  coder: Coder,
  { bar, done, leftOut, spread }: { bar: Progress; done: number; leftOut: LeftOut; spread: Spread },
): Promise<number> {
  const labels: number[] = [];
  const parts: Record<'moments' | 'moments_flipped', Float32Array[]> = { moments: [], moments_flipped: [] };
  for (let at = 0; at < shard.count; at += coder.batch) {
    const count = Math.min(coder.batch, shard.count - at);
    const indices = Array.from({ length: count }, (_, i) => shard.first + at + i);
    const read = await Promise.all(indices.map((index) => readBoth(data, index, leftOut)));
    const found = read.filter((pair) => pair !== undefined);
    if (found.length) {
      const names = found.map(({ index }) => data.nameOf(index));
      parts.moments.push(
        await moments(
          coder,
          vae,
          found.map(({ plain }) => plain),
          names,
        ),
      );
      parts.moments_flipped.push(
        await moments(
          coder,
          vae,
          found.map(({ flipped }) => flipped),
          names,
        ),
      );
      spread.add(parts.moments[parts.moments.length - 1], 2 * vae.latent.reduce((a, b) => a * b));
      labels.push(...found.map(({ index }) => data.labels[index]));
    }
    bar.update(done + at + count);
  }
  if (!labels.length) {
    const why = `those from ${data.nameOf(shard.first)} on`;
    throw new DitcError({ code: 'no-data', where: data.name, what: 'none of the pictures of a file can be read', why });
  }
  const [L, h, w] = vae.latent;
  const shape = [labels.length, 2 * L, h, w];
  const tensors = [
    ...Object.entries(parts).map(([name, chunks]) => ({ name, dtype, shape, chunks: () => chunks })),
    { name: 'y', dtype: 'i32' as const, shape: [labels.length], chunks: () => [Int32Array.from(labels)] },
  ];
  const metadata = {
    [ENCODED.classes]: JSON.stringify(data.classes),
    [ENCODED.scale]: String(vae.scale),
    [ENCODED.record]: await shard.record(),
  };
  await writeAtomically(shard.path, (write) => writeSafetensors(write, tensors, metadata));
  return labels.length;
}

/** A picture and its mirror image; undefined where it is to be left out. */
async function readBoth(data: Dataset, index: number, leftOut: LeftOut) {
  try {
    const [plain, flipped] = [await data.read(index, false), await data.read(index, true)];
    return { index, plain, flipped };
  } catch (error) {
    if (data.onBad !== 'skip' || !isBadExample(error)) throw error;
    leftOut(data.nameOf(index), error.why ?? error.what);
    return undefined;
  }
}

async function moments(
  coder: Coder,
  { picture }: Autoencoder,
  examples: readonly (Uint8Array | Float32Array)[],
  names: readonly string[],
): Promise<Float32Array> {
  const size = picture.reduce((a, b) => a * b);
  const images = new Float32Array(examples.length * size);
  examples.forEach((example, i) => writeValues(images, i * size, example));
  const made = Float32Array.from(await coder.apply(images));
  if (allFinite(made)) return made;
  const each = made.length / examples.length;
  const wrong = names.find((_, i) => !allFinite(made.subarray(i * each, (i + 1) * each)));
  const why = 'the autoencoder overflowed, or its weights are damaged';
  const fix = 'check the weights; ditc verify tells whether the kernels compute right';
  throw new DitcError({ code: 'not-finite', where: wrong, what: 'the moments are not finite', why, fix });
}
