/** Latents to pictures: rows of a file, or samples as they come. */
import { DitcError } from '../../compiler/ir/index.ts';
import { npyToF32 } from '../../runtime/checkpoint/npy.ts';
import { withWeights } from '../gpu.ts';
import { readNpy } from '../npy.ts';
import type { Samples } from '../../runtime/sample.ts';
import type { Autoencoder, Coder } from './autoencoder.ts';

/** Latents [L,h,w] by number, as the decoder takes them: not scaled. */
export interface LatentRows {
  readonly count: number;
  row(index: number): Promise<Float32Array>;
}

const KINDS = ['latents', 'moments'] as const;

/**
 * Opens a file for the time of `work`: `.npy` or a tensor `latents` [N,L,h,w], which are divided by the scale, or a tensor
 * `moments` [N,2L,h,w], of which the means are taken.
 */
export async function withLatents<T>(
  path: string,
  { latent, loaded }: Autoencoder,
  scale: number,
  work: (rows: LatentRows) => Promise<T>,
): Promise<T> {
  const size = latent.reduce((a, b) => a * b);
  const check = (name: string, shape: readonly number[], wanted: readonly number[]) => {
    if (shape.slice(1).join() === wanted.join() && shape[0] > 0) return;
    const why = `${name} is [${shape.join(', ')}], ${loaded.name} decodes [N, ${wanted.join(', ')}]`;
    const fix = 'give the autoencoder that they belong to, with the sampleSize of its pictures';
    throw new DitcError({ code: 'mismatch', where: path, what: 'the latents do not fit the autoencoder', why, fix });
  };
  const unscaled = (values: Float32Array) => values.map((value) => value / scale);
  if (/\.npy$/i.test(path)) {
    const array = await readNpy(path, 'latents');
    check('it', array.shape, latent);
    const values = npyToF32(array);
    return work({
      count: array.shape[0],
      row: async (index) => unscaled(values.subarray(index * size, (index + 1) * size)),
    });
  }
  return withWeights(path, (file) => {
    const kind = KINDS.find((name) => file!.tensors.has(name));
    if (!kind) {
      const why = `its tensors are ${[...file!.tensors.keys()].slice(0, 6).join(', ') || 'none'}`;
      const fix = 'give a file of ditc encode, or one with a tensor latents [N,L,h,w]';
      throw new DitcError({ code: 'no-data', where: path, what: 'there are no latents in it', why, fix });
    }
    const { shape } = file!.tensors.get(kind)!;
    const [L, h, w] = latent;
    check(kind, shape, kind === 'moments' ? [2 * L, h, w] : latent);
    const row = async (index: number) =>
      kind === 'moments'
        ? file!.readF32Range(kind, 2 * index * size, size)
        : unscaled(await file!.readF32Range(kind, index * size, size));
    return work({ count: shape[0], row });
  });
}

/** Pictures of all rows in order. `onDone` is told how many are done. */
export async function* decodeRows(
  coder: Coder,
  { latent, picture }: Autoencoder,
  { count, row }: LatentRows,
  onDone: (done: number) => void = () => {},
): AsyncGenerator<Samples> {
  const size = latent.reduce((a, b) => a * b);
  for (let first = 0; first < count; first += coder.batch) {
    const n = Math.min(coder.batch, count - first);
    const latents = new Float32Array(n * size);
    for (let i = 0; i < n; i++) latents.set(await row(first + i), i * size);
    yield { first, shape: [n, ...picture], values: await coder.apply(latents) };
    onDone(first + n);
  }
}

/** Samples of a model of scaled latents, as pictures. */
export async function* decodeSamples(coder: Coder, vae: Autoencoder, { first, shape, values }: Samples) {
  const size = vae.latent.reduce((a, b) => a * b);
  const row = async (i: number) => values.subarray(i * size, (i + 1) * size).map((value) => value / vae.scale);
  for await (const made of decodeRows(coder, vae, { count: shape[0], row }))
    yield { ...made, first: first + made.first };
}

/** Throws unless the autoencoder decodes what the model makes. */
export function checkLatents({ latent, loaded }: Autoencoder, shape: readonly number[], name: string): void {
  if (shape.join() === latent.join()) return;
  const why = `${name} makes [${shape.join(', ')}], ${loaded.name} decodes [${latent.join(', ')}]`;
  const fix = 'give the autoencoder whose latents it was trained on, with the sampleSize of their pictures';
  throw new DitcError({ code: 'mismatch', where: loaded.source, what: 'the autoencoder is another one', why, fix });
}
