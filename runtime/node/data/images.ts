/** A folder of class folders of image files as a dataset. What has been decoded is kept, up to a budget. */
import { createHash } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { basename } from 'node:path';
import { checkLabels, mirrored, type Dataset } from '../../data/dataset.ts';
import { DecodePool } from './decode-pool.ts';
import { below, listImages } from './listing.ts';
import type { DataOptions } from './options.ts';

const DEFAULT_CACHE_BYTES = 2 ** 29;
const MOST_WORKERS = 16;

/** See {@link listImages}; files are opened when they are first read. */
export async function openImages(root: string, options: DataOptions): Promise<Dataset> {
  const { shape, flip = false, onBad = 'refuse' } = options;
  const { classes, files, labels, notes } = await listImages(root, options.labels);
  const nameOf = (index: number) => files[index];
  checkLabels(labels, { labels: classes, classes: options.classes }, root, nameOf);
  const pool = new DecodePool(options.workers ?? Math.min(MOST_WORKERS, availableParallelism() - 1));
  const cache = new Map<number, Uint8Array>();
  const most = (options.cacheBytes ?? DEFAULT_CACHE_BYTES) / (shape[0] * shape[1] * shape[2]);

  async function decoded(index: number): Promise<Uint8Array> {
    const kept = cache.get(index);
    if (kept) return kept;
    const bytes = await pool.decode(files[index], shape);
    // Nothing is ever dropped for another: with a new order each epoch any share of the files is as good as any other.
    if (cache.size < most) cache.set(index, bytes);
    return bytes;
  }

  return {
    name: root,
    content: 'pixels',
    count: files.length,
    shape,
    classes,
    labels,
    flip,
    onBad,
    notes,
    fingerprint: fingerprintOf(files.map((file, i) => `${labels[i]} ${below(root, file) || basename(file)}`)),
    filesOf: (first, count) => files.slice(first, first + count),
    nameOf,
    read: async (index, mirror) => {
      const bytes = await decoded(index);
      return mirror ? mirrored(bytes, shape[2]) : bytes;
    },
    close: async () => {
      cache.clear();
      await pool.close();
    },
  };
}

/** Of names and labels. The files' own bytes would take minutes. */
function fingerprintOf(lines: readonly string[]): string {
  const hash = createHash('sha256');
  for (const line of lines) hash.update(`${line}\n`);
  return hash.digest('hex').slice(0, 16);
}
