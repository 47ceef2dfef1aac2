/** Data for training from a path: what it holds is told by looking. */
import { existsSync } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, dirname, join, resolve } from 'node:path';
import type { Dataset } from '../../data/dataset.ts';
import { shardOf } from '../../data/encoded.ts';
import { RuntimeError } from '../../error.ts';
import { idxPairs, openIdx } from './idx.ts';
import { openImages } from './images.ts';
import { IMAGE } from './listing.ts';
import type { DataOptions } from './options.ts';
import { openTensors, TENSOR_FILE } from './tensors.ts';

export type { DataOptions };

const NPY = /^((x|latents|moments)(_flipped)?|y)\.npy$/;
const PACKAGE = /^(@[\w.-]+\/)?\w[\w.-]*$/;

/**
 * Opens a folder of class folders of images, a folder of IDX files (MNIST), tensors (safetensors, `.npz`, `.npy`, `.pt`;
 * a file or a folder of parts), or an installed npm package that holds one of them.
 * @throws RuntimeError `no-data` when it is none of these, `labels` when labels and model disagree, `mismatch` for
 * tensors of another shape, and what the files' readers throw.
 */
export async function openData(path: string, options: DataOptions): Promise<Dataset> {
  const shards = await shardsOf(path);
  if (shards.length) return openTensors(path, shards, options);
  const found = await locate(path);
  const info = await stat(found);
  if (info.isFile()) {
    if (TENSOR_FILE.test(found)) return openTensors(found, [found], options);
    if (IMAGE.test(found)) return openImages(found, options);
    throw unknown(path, 'a single file that is neither a picture nor safetensors, .npz, .npy or .pt');
  }
  if (!info.isDirectory()) throw unknown(path, 'neither a file nor a folder');
  const pairs = await idxPairs(found);
  if (pairs.size) return openIdx(found, pairs, options);
  const tensors = tensorsTogether(found, await readdir(found));
  return tensors.length ? openTensors(found, tensors, options) : openImages(found, options);
}

/** A folder's tensor files: parts of one format, or `.npy` files with the names of tensors. Others are somebody else's. */
function tensorsTogether(folder: string, names: readonly string[]): string[] {
  const ours = names.filter((name) => /^[^.].*\.(safetensors|npz)$/i.test(name) || NPY.test(name)).sort();
  const formats = new Set(ours.map((name) => TENSOR_FILE.exec(name)![1].toLowerCase()));
  if (formats.size <= 1) return ours.map((name) => join(folder, name));
  throw unknown(folder, `a folder with tensors of several formats: ${ours.slice(0, 6).join(', ')}`);
}

/**
 * The files that are together `path`, which itself is not there: what `ditc encode` writes when one would be too large.
 * @throws RuntimeError `no-data` when one is missing.
 */
async function shardsOf(path: string): Promise<string[]> {
  const stem = /^(.+)\.safetensors$/.exec(basename(path))?.[1];
  const folder = dirname(path);
  const names = stem === undefined || existsSync(path) ? [] : await readdir(folder).catch(() => []);
  const shards = names.flatMap((name) => {
    const shard = shardOf(name);
    return shard && shard.stem === stem ? [{ name, ...shard }] : [];
  });
  if (!shards.length) return [];
  const of = shards[0].of;
  const missing = Array.from({ length: of }, (_, i) => i).find(
    (i) => !shards.some((s) => s.index === i && s.of === of),
  );
  if (missing === undefined && shards.length === of) return shards.map(({ name }) => join(folder, name)).sort();
  throw new RuntimeError({
    code: 'no-data',
    where: path,
    what: missing === undefined ? 'its parts are of several wholes' : `part ${missing + 1} of ${of} is missing`,
    fix: 'encode the pictures again with the same command: it goes on where it stopped',
  });
}

/** The path, or the folder of data in the installed package of that name. */
async function locate(path: string): Promise<string> {
  try {
    await stat(path);
    return path;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const inPackage = code === 'ENOENT' && PACKAGE.test(path) ? await packageFolder(path) : undefined;
    if (inPackage) return inPackage;
    const why = code === 'ENOENT' ? 'there is no such file, folder or installed package' : (error as Error).message;
    const fix = PACKAGE.test(path) ? `check the path, or install it: npm install ${path}` : 'check the path';
    throw new RuntimeError({ code: 'io', where: path, what: 'cannot open the data', why, fix, cause: error });
  }
}

async function packageFolder(name: string): Promise<string | undefined> {
  try {
    const root = dirname(createRequire(join(resolve('.'), 'data.js')).resolve(`${name}/package.json`));
    const data = join(root, 'data');
    return await stat(data).then(
      (info) => (info.isDirectory() ? data : root),
      () => root,
    );
  } catch {
    return undefined; // not installed, or it hides its files: told as a path that is not there
  }
}

function unknown(where: string, why: string): RuntimeError {
  return new RuntimeError({
    code: 'no-data',
    where,
    what: 'it cannot be told what data this is',
    why: `it is ${why}`,
    fix:
      'give a folder with a folder of images for each class, a folder of IDX files, or a tensor file with x (or latents, ' +
      'moments) and y',
  });
}
