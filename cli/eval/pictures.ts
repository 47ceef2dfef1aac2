/** Sets of pictures to be measured: a folder of image files, or one array [N,H,W,3] of bytes as ADM's evaluator takes it. */
import { stat } from 'node:fs/promises';
import { DitcError } from '../../compiler/ir/index.ts';
import type { TensorFile } from '../../runtime/checkpoint/source.ts';
import { decodeImage } from '../../runtime/node/data/decode.ts';
import { listImages } from '../../runtime/node/data/listing.ts';
import { plural } from '../text.ts';

/** Pictures of one size. */
export interface PictureSet {
  readonly name: string;
  readonly count: number;
  readonly size: readonly [height: number, width: number];
  /** Picture `index` as [3,H,W], 0 to 255. */
  read(index: number): Promise<ArrayLike<number>>;
}

/** The pictures below a folder, in the order of their names. @throws DitcError `mismatch` for pictures of several sizes. */
export async function picturesIn(folder: string): Promise<PictureSet> {
  const { files } = await listImages(folder);
  const size = await sizeOf(files[0]);
  return {
    name: folder,
    count: files.length,
    size,
    async read(index) {
      const file = files[index];
      const own = await sizeOf(file);
      if (own.join() !== size.join()) {
        const what = `it is ${shown(own)}, ${files[0]} is ${shown(size)}`;
        const fix = 'scale the pictures to one size first: how they are scaled changes what is measured';
        throw new DitcError({ code: 'mismatch', where: file, what, fix });
      }
      return decodeImage(file, [3, ...size]);
    },
  };
}

const shown = ([height, width]: PictureSet['size']): string => `${width}×${height} pixels`;

async function sizeOf(file: string): Promise<[height: number, width: number]> {
  const { default: sharp } = await import('sharp');
  try {
    const { autoOrient } = await sharp(file).metadata();
    return [autoOrient.height, autoOrient.width];
  } catch (error) {
    const why = (error as Error).message.replace(/^Input file /, 'it ');
    throw new DitcError({ code: 'bad-example', where: file, what: 'the picture cannot be read', why });
  }
}

/** What NumPy calls the first array of a `.npz` that has no name. */
export const ARRAY = 'arr_0';

/** The pictures of an array file. The caller closes the file when it is done with them. */
export function picturesOf(file: TensorFile): PictureSet | undefined {
  const info = file.tensors.get(ARRAY) ?? (file.tensors.size === 1 ? [...file.tensors.values()][0] : undefined);
  if (!info) return undefined;
  const [count, height, width, channels] = info.shape;
  if (info.shape.length !== 4 || info.dtype !== 'u8' || channels !== 3) {
    const what = `${info.name} is ${info.dtype}[${info.shape}]`;
    const fix = 'save the pictures as uint8 of shape (N, height, width, 3)';
    throw new DitcError({ code: 'mismatch', where: file.name, what, fix });
  }
  const plane = height * width;
  return {
    name: file.name,
    count,
    size: [height, width],
    async read(index) {
      const pixels = await file.readF32Range(info.name, index * plane * 3, plane * 3);
      return Float32Array.from({ length: plane * 3 }, (_, i) => pixels[(i % plane) * 3 + Math.floor(i / plane)]);
    },
  };
}

/** Whether the path is a folder. @throws DitcError `io` when there is nothing. */
export async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'there is no such file or folder' : undefined;
    throw new DitcError({ code: 'io', where: path, what: 'it cannot be opened', why, fix: 'check the path' });
  }
}

/** The first `most` pictures of a set. @throws DitcError `no-data` when it has fewer. */
export function firstOf(set: PictureSet, most?: number): PictureSet {
  if (most === undefined) return set;
  if (most <= set.count) return { ...set, count: most };
  const what = `it holds ${plural(set.count, 'picture')}, --num asks for ${most}`;
  throw new DitcError({ code: 'no-data', where: set.name, what, fix: 'give more pictures or a smaller --num' });
}
