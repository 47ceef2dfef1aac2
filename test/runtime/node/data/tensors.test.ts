/** Tensors with labels: every format, in parts, as pixels, latents and moments; and those that do not fit. */
import { Uint8ArrayReader, Uint8ArrayWriter, ZipWriter } from '@zip.js/zip.js';
import { describe, expect, it } from 'vitest';
import type { DType } from '../../../../runtime/checkpoint/dtype.ts';
import type { Values } from '../../../../runtime/checkpoint/encode.ts';
import { writeSafetensors } from '../../../../runtime/checkpoint/safetensors-write.ts';
import type { Dataset } from '../../../../runtime/data/dataset.ts';
import { prefetch } from '../../../../runtime/data/prefetch.ts';
import { openData, type DataOptions } from '../../../../runtime/node/data/open.ts';
import { failure, folderOf, npy } from './support.ts';

const options: DataOptions = { shape: [1, 1, 2] };

type Tensors = Record<string, [dtype: DType, shape: number[], values: Values]>;

async function safetensors(tensors: Tensors): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  const list = Object.entries(tensors).map(([name, [dtype, shape, values]]) => ({
    name,
    dtype,
    shape,
    chunks: () => [values],
  }));
  await writeSafetensors(async (bytes) => void parts.push(bytes.slice()), list);
  return Buffer.concat(parts);
}

async function npz(files: Record<string, Uint8Array>, level: number): Promise<Uint8Array> {
  const zip = new ZipWriter(new Uint8ArrayWriter(), { level, useWebWorkers: false });
  for (const [name, bytes] of Object.entries(files)) await zip.add(name, new Uint8ArrayReader(bytes));
  return zip.close();
}

const rows = Float32Array.of(0, 1, 2, 3, 4, 5);
const x: Tensors[string] = ['f32', [3, 1, 1, 2], rows];
const y: Tensors[string] = ['i64', [3], BigInt64Array.of(2n, 0n, 1n)];
const xNpy = npy('f32', [3, 1, 1, 2], rows);
const yNpy = npy('i32', [3], Int32Array.of(2, 0, 1));

const all = async (data: Dataset, mirror = false) =>
  Promise.all(Array.from({ length: data.count }, async (_, i) => [...(await data.read(i, mirror))]));

describe('a tensor file', () => {
  const files = async (): Promise<Record<string, Uint8Array>> => ({
    'a.safetensors': await safetensors({ x, y }),
    'stored.npz': await npz({ 'x.npy': xNpy, 'y.npy': yNpy }, 0),
    'deflated.npz': await npz({ 'x.npy': xNpy, 'y.npy': yNpy }, 6),
    'parts/x.npy': xNpy,
    'parts/y.npy': yNpy,
    'shards/1.safetensors': await safetensors({
      x: ['f32', [2, 1, 1, 2], rows.slice(0, 4)],
      y: ['u8', [2], Uint8Array.of(2, 0)],
    }),
    'shards/2.safetensors': await safetensors({
      x: ['f32', [1, 1, 1, 2], rows.slice(4)],
      y: ['u8', [1], Uint8Array.of(1)],
    }),
    'half.safetensors': await safetensors({
      x: ['f16', [3, 1, 1, 2], rows],
      y: ['i32', [3, 1], Int32Array.of(2, 0, 1)],
    }),
  });

  it.each(['a.safetensors', 'stored.npz', 'deflated.npz', 'parts', 'shards', 'half.safetensors'])(
    '%s',
    async (name) => {
      const data = await openData(`${folderOf(await files())}/${name}`, { ...options, classes: 3 });
      expect([...data.labels]).toEqual([2, 0, 1]);
      expect(data.classes).toEqual(['0', '1', '2']);
      expect(await all(data)).toEqual([
        [0, 1],
        [2, 3],
        [4, 5],
      ]);
      expect(await all(data, true)).toEqual([
        [1, 0],
        [3, 2],
        [5, 4],
      ]);
      await data.close();
    },
  );

  it('of bytes holds pixels', async () => {
    const file = await safetensors({ x: ['u8', [1, 1, 1, 2], Uint8Array.of(0, 255)] });
    const data = await openData(`${folderOf({ 'x.safetensors': file })}/x.safetensors`, options);
    const { value } = await prefetch(data, { batch: 1, seed: 0 }).next();
    expect([...value.x]).toEqual([-1, 1]);
    await data.close();
  });

  it('may hold moments, with those of the mirrored pictures: latents are drawn from them, others each epoch', async () => {
    const count = 400;
    // Means 3 and −1, variances e^0 and e^−100, which is taken as e^−30.
    const row = (mean: number) => [mean, -1, 0, -100];
    const rows = (mean: number) => Float32Array.from({ length: 4 * count }, (_, i) => row(mean)[i % 4]);
    const moments: Tensors[string] = ['f32', [count, 2, 1, 2], rows(3)];
    const moments_flipped: Tensors[string] = ['f32', [count, 2, 1, 2], rows(5)];
    const folder = folderOf({
      'one.safetensors': await safetensors({ moments }),
      'two.safetensors': await safetensors({ moments, moments_flipped }),
    });
    const error = await failure(() => openData(`${folder}/one.safetensors`, { ...options, flip: true }));
    expect(error.message).toMatch(/moments cannot be mirrored.*moments_flipped/);
    const unscaled = await failure(() => openData(`${folder}/two.safetensors`, options));
    expect(unscaled.message).toMatch(/does not say how latents are scaled.*--latent-scale/);
    const data = await openData(`${folder}/two.safetensors`, { ...options, flip: true, latentScale: 0.5 });
    expect(data).toMatchObject({ content: 'moments', shape: [1, 1, 2], count });
    const draws = async (epoch: number, mirror = false, seed = 7) =>
      Promise.all(Array.from({ length: count }, (_, i) => data.read(i, mirror, { seed, epoch })));
    const first = await draws(0);
    expect(await draws(0)).toEqual(first);
    for (const other of [await draws(1), await draws(0, false, 8)])
      other.forEach((values, i) => expect(values[0]).not.toBe(first[i][0]));
    const spread = (values: readonly number[]) => {
      const mean = values.reduce((a, b) => a + b) / count;
      return [mean, Math.sqrt(values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / count)];
    };
    const [mean, deviation] = spread(first.map(([x]) => x / 0.5));
    // Standard errors of 400 draws: 0.05 and 0.035.
    expect(Math.abs(mean - 3)).toBeLessThan(0.2);
    expect(Math.abs(deviation - 1)).toBeLessThan(0.15);
    for (const [, x] of first) expect(Math.abs(x / 0.5 + 1)).toBeLessThan(1e-5);
    expect(Math.abs(spread((await draws(0, true)).map(([x]) => x / 0.5))[0] - 5)).toBeLessThan(0.2);
    await data.close();
  });
});

describe('labels', () => {
  it.each<[string, Tensors[string]]>([
    ['u8', ['u8', [3], Uint8Array.of(2, 0, 1)]],
    ['u16', ['u16', [3], Uint16Array.of(2, 0, 1)]],
    ['u32', ['u32', [3], Uint32Array.of(2, 0, 1)]],
    ['u64', ['u64', [3], BigUint64Array.of(2n, 0n, 1n)]],
    ['whole f64', ['f64', [3, 1], Float64Array.of(2, 0, 1)]],
  ])('may be %s', async (_name, y) => {
    const folder = folderOf({ 'a.safetensors': await safetensors({ x, y }) });
    const data = await openData(`${folder}/a.safetensors`, { ...options, classes: 3 });
    expect([...data.labels]).toEqual([2, 0, 1]);
    await data.close();
  });
});

describe('tensors that do not fit', () => {
  const message = async (tensors: Tensors, more: Partial<DataOptions> = {}) => {
    const folder = folderOf({ 'a.safetensors': await safetensors(tensors) });
    return (await failure(() => openData(`${folder}/a.safetensors`, { ...options, ...more }))).message;
  };

  it('are refused with what is wrong', async () => {
    expect(await message({ x, y }, { shape: [3, 1, 2] })).toMatch(
      /it is \[3, 1, 1, 2\], the model takes \[N, 3, 1, 2\]/,
    );
    expect(await message({ x, y }, { classes: 2 })).toMatch(
      /label of row 0 of x in .*a\.safetensors is 2.*numClasses: 3/,
    );
    expect(await message({ x, y }, { labels: ['cat', 'dog'] })).toMatch(/row 0 .* is 2: the data names 2 classes/);
    expect(await message({ x, y: ['i32', [3], Int32Array.of(0, -1, 0)] })).toMatch(
      /row 1 .* is -1.*number the classes from 0/,
    );
    expect(await message({ x, y: ['i32', [2], Int32Array.of(0, 1)] })).toMatch(/y is \[2\] and there are 3 examples/);
    expect(await message({ x, y: ['f32', [3], Float32Array.of(0, 1.5, 2)] })).toMatch(/"y": element 1 is 1\.5/);
    expect(await message({ x, y: ['u32', [3], Uint32Array.of(0, 1, 2 ** 31)] })).toMatch(
      /"y": element 2 is 2147483648/,
    );
    const most = ['i32', [3], Int32Array.of(0, 1, 2 ** 31 - 1)] as Tensors[string];
    expect(await message({ x, y: most })).toMatch(/row 2 .* is 2147483647: no model has more than 1000000 classes/);
    expect(await message({ x, y: most }, { classes: 2 })).toMatch(/is 2147483647: the model has 2 classes/);
    expect(await message({ x }, { classes: 10 })).toMatch(/no labels: the model has 10 classes; add a tensor y \[3\]/);
    expect(await message({ weight: x })).toMatch(/holds no examples: its tensors are "weight"; name the tensor/);
    expect(await message({ x, latents: x })).toMatch(/holds x and latents: only one/);
    expect(await message({ x: ['i32', [3, 1, 1, 2], Int32Array.from(rows)], y })).toMatch(
      /holds i32; floats are taken/,
    );
    expect(await message({ x: ['f32', [0, 1, 1, 2], new Float32Array(0)] })).toMatch(/no examples in it/);
  });

  it('are refused when the parts are of different kinds', async () => {
    const folder = folderOf({
      '1.safetensors': await safetensors({ x, y }),
      '2.safetensors': await safetensors({ latents: x, y }),
    });
    expect((await failure(() => openData(folder, options))).message).toMatch(
      /no part of the same data: .*latents of f32/,
    );
  });

  it('name the row that is not finite', async () => {
    const file = await safetensors({ x: ['f32', [2, 1, 1, 2], Float32Array.of(0, 1, NaN, 3)] });
    const data = await openData(`${folderOf({ 'a.safetensors': file })}/a.safetensors`, options);
    expect([...(await data.read(0, false))]).toEqual([0, 1]);
    const error = await failure(() => data.read(1, false));
    expect(error.message).toMatch(/^row 1 of x in .*: the example cannot be read: element 0 is NaN/);
    await data.close();
  });
});
