/**
 * IDX, the format of MNIST and its relatives: a header of big-endian sizes and bytes behind it; pictures and labels in a
 * file each, often gzipped. All of it is held in memory.
 */
import { createHash } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { checkLabels, mirrored, type Dataset } from '../../data/dataset.ts';
import { fitPicture } from '../../data/fit.ts';
import { RuntimeError } from '../../error.ts';
import { openFile } from '../file.ts';
import type { DataOptions } from './options.ts';

/** What MNIST calls its parts. */
const SPLITS: Record<string, RegExp> = { train: /^train/i, test: /^(t10k|test)/i };
const NAME = /^(.*?)(images|labels)[-.]idx([13])-ubyte(\.gz)?$/i;
const MAX_BYTES = 2 ** 31;

interface Pair {
  images?: string;
  labels?: string;
}

/** The pairs of files in a folder by what precedes `images` and `labels` in their names. */
export async function idxPairs(folder: string): Promise<Map<string, Pair>> {
  const pairs = new Map<string, Pair>();
  for (const name of (await readdir(folder)).sort()) {
    const match = NAME.exec(name);
    if (!match) continue;
    const pair = pairs.get(match[1]) ?? {};
    const kind = match[2].toLowerCase() as 'images' | 'labels';
    pair[kind] ??= join(folder, name); // unpacked sorts before `.gz`
    pairs.set(match[1], pair);
  }
  return pairs;
}

function wrongFile(where: string, what: string, why: string, code = 'bad-format'): RuntimeError {
  return new RuntimeError({ code, where, what, why, fix: 'the file is damaged or not IDX: download it again' });
}

async function readWhole(path: string): Promise<Uint8Array> {
  const source = await openFile(path);
  try {
    if (source.size > MAX_BYTES) throw wrongFile(path, 'the file is too large', `${source.size} bytes`, 'limit');
    const bytes = await source.read(0, source.size);
    if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes;
    return await promisify(gunzip)(bytes, { maxOutputLength: MAX_BYTES }).catch((error: Error) => {
      throw wrongFile(path, 'it cannot be unpacked', error.message);
    });
  } finally {
    await source.close();
  }
}

/** The bytes behind the header, and the sizes in it. */
async function readIdx(path: string, rank: number): Promise<{ sizes: number[]; data: Uint8Array }> {
  const bytes = await readWhole(path);
  const start = 4 + 4 * rank;
  if (bytes.length < 4 || bytes[0] !== 0 || bytes[1] !== 0)
    throw wrongFile(
      path,
      'it is not an IDX file',
      `it begins with ${[...bytes.subarray(0, 4)].join(' ') || 'nothing'}`,
    );
  if (bytes[2] !== 8 || bytes[3] !== rank) {
    const why = `type ${bytes[2]} and ${bytes[3]} dimensions; bytes (type 8) of ${rank} are read`;
    throw wrongFile(path, 'it holds something else', why, 'unsupported');
  }
  if (bytes.length < start) throw wrongFile(path, 'it ends inside its header', `${bytes.length} bytes`, 'truncated');
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const sizes = Array.from({ length: rank }, (_, i) => view.getUint32(4 + 4 * i));
  const expected = sizes.reduce((a, b) => a * b, 1);
  const held = bytes.length - start;
  if (expected !== held) {
    const why = `${sizes.join(' × ')} bytes are announced, ${held} are there`;
    throw wrongFile(path, 'sizes and data disagree', why, held < expected ? 'truncated' : 'bad-format');
  }
  return { sizes, data: bytes.subarray(start) };
}

/** The pair to read: the split asked for, or the only one there is. */
function choose(folder: string, pairs: ReadonlyMap<string, Pair>, split: string): Required<Pair> {
  const prefixes = [...pairs.keys()];
  const prefix = prefixes.length === 1 ? prefixes[0] : prefixes.find((name) => (SPLITS[split] ?? /^$/).test(name));
  const pair = prefix === undefined ? undefined : pairs.get(prefix)!;
  if (pair?.images && pair.labels) return pair as Required<Pair>;
  const why = pair
    ? `there are ${pair.images ? 'images' : 'labels'} but no ${pair.images ? 'labels' : 'images'}`
    : `it holds ${prefixes.map((name) => name || 'unnamed files').join(', ')}`;
  throw new RuntimeError({
    code: 'no-data',
    where: folder,
    what: `there is no pair of IDX files for "${split}"`,
    why,
    fix: 'it takes two, such as train-images-idx3-ubyte and train-labels-idx1-ubyte, packed as .gz or not',
  });
}

/** The pictures in a folder of IDX files, scaled if the shape is not theirs. */
export async function openIdx(
  folder: string,
  pairs: ReadonlyMap<string, Pair>,
  options: DataOptions,
): Promise<Dataset> {
  const { shape, flip = false, onBad = 'refuse', split = 'train' } = options;
  const files = choose(folder, pairs, split);
  const images = await readIdx(files.images, 3);
  const labels = Int32Array.from((await readIdx(files.labels, 1)).data);
  const [count, height, width] = images.sizes;
  if (labels.length !== count) {
    const why = `${count} pictures, ${labels.length} labels`;
    throw wrongFile(files.labels, 'the two files do not belong together', why);
  }
  if (count === 0 || height === 0 || width === 0)
    throw new RuntimeError({ code: 'no-data', where: files.images, what: 'there are no pictures in it' });
  const nameOf = (index: number) => `example ${index} of ${files.images}`;
  const names = checkLabels(labels, options, folder, nameOf);
  return {
    name: folder,
    content: 'pixels',
    count,
    shape,
    classes: names,
    labels,
    flip,
    onBad,
    notes: [],
    fingerprint: createHash('sha256').update(images.data).update(labels).digest('hex').slice(0, 16),
    filesOf: () => [files.images, files.labels],
    nameOf,
    read: async (index, mirror) => {
      const data = images.data.subarray(index * width * height, (index + 1) * width * height);
      const bytes = fitPicture({ width, height, channels: 1, data }, shape);
      return mirror ? mirrored(bytes, shape[2]) : bytes;
    },
    close: async () => {},
  };
}
