/** A set of pictures, or what is saved of one, from a path: what it holds is told by looking. */
import { DitcError } from '../../compiler/ir/index.ts';
import { openNpy, openNpz } from '../../runtime/checkpoint/npz.ts';
import type { ByteSource, TensorFile } from '../../runtime/checkpoint/source.ts';
import { openFile } from '../../runtime/node/file.ts';
import { ARRAY, firstOf, isFolder, picturesIn, picturesOf, type PictureSet } from './pictures.ts';
import { readStatistics, type Statistics } from './statistics.ts';

/** One of the two is there. */
export interface OpenSet {
  readonly pictures?: PictureSet;
  readonly statistics?: Statistics;
  close(): Promise<void>;
}

/** `most`: how many of the pictures, all unless told. @throws DitcError or RuntimeError naming the path and the fix. */
export async function openSet(path: string, most?: number): Promise<OpenSet> {
  if (await isFolder(path)) return { pictures: firstOf(await picturesIn(path), most), close: async () => {} };
  const saved = /\.npz$/i.test(path) ? await readStatistics(path) : undefined;
  if (saved) return { statistics: checkSaved(path, saved, most), close: async () => {} };
  const file = await arraysOf(path);
  try {
    const pictures = picturesOf(file);
    if (!pictures) throw unknown(path, `it holds ${[...file.tensors.keys()].slice(0, 6).join(', ') || 'nothing'}`);
    return { pictures: firstOf(pictures, most), close: () => file.close() };
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function arraysOf(path: string): Promise<TensorFile> {
  const open = { npz: openNpz, npy: (source: ByteSource) => openNpy(source, ARRAY) }[extensionOf(path)];
  if (!open) throw unknown(path, 'its name ends in neither .npz nor .npy');
  const source = await openFile(path);
  try {
    return await open(source);
  } catch (error) {
    await source.close();
    throw error;
  }
}

const extensionOf = (path: string) => /[^.]*$/.exec(path)![0].toLowerCase() as 'npz' | 'npy';

function checkSaved(where: string, saved: Statistics, most?: number): Statistics {
  if (most === undefined) return saved;
  const what = 'it holds statistics, of which no part can be taken';
  throw new DitcError({ code: 'mismatch', where, what, fix: 'leave --num out, or give the pictures' });
}

function unknown(where: string, why: string): DitcError {
  const fix = `give a folder of pictures, an array of them (.npy, or .npz with ${ARRAY}), or statistics (.npz with mu and sigma)`;
  return new DitcError({ code: 'no-data', where, what: 'it cannot be told what pictures these are', why, fix });
}
