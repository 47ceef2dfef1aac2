/** NumPy's `.npy` and `.npz` (a ZIP of `.npy`) as files of named tensors, read in place: no array is taken in whole. */
import { RuntimeError, quote } from '../error.ts';
import { DTYPE_BYTES, elementCount } from './dtype.ts';
import { parseNpy, type NpyArray } from './npy.ts';
import { npyError, parseNpyHeader } from './npy-header.ts';
import type { ByteSource, TensorFile } from './source.ts';
import { StoredTensorFile, type StoredTensor } from './stored.ts';
import { openZip } from './zip.ts';

/** More than the largest header that is allowed. */
const HEAD_BYTES = 2 ** 17;

/** The array in a `.npy` file, to be called `name`. */
async function storedNpy(name: string, source: ByteSource): Promise<StoredTensor> {
  const head = await source.read(0, Math.min(source.size, HEAD_BYTES));
  const { dtype, bigEndian, fortranOrder, shape, dataStart } = parseNpyHeader(head, source.name);
  const expected = elementCount(shape) * DTYPE_BYTES[dtype];
  const held = source.size - dataStart;
  if (held !== expected) {
    const why = `shape [${shape}] of ${dtype} takes ${expected} bytes, the file has ${held}`;
    const code = held < expected ? 'truncated' : 'bad-format';
    throw npyError(source.name, 'shape and data disagree', why, undefined, code);
  }
  let step = 1;
  const columnMajor = shape.map((size) => {
    const stride = step;
    step *= Math.max(size, 1);
    return stride;
  });
  const strides = fortranOrder ? columnMajor : undefined;
  return { name, dtype, shape, source, byteOffset: dataStart, strides, bigEndian };
}

/** A `.npy` file as a file of one tensor. On success it owns `source`. */
export async function openNpy(source: ByteSource, name: string): Promise<TensorFile> {
  return new StoredTensorFile(source, new Map([[name, await storedNpy(name, source)]]), {});
}

/**
 * A `.npz` file. On success it owns `source`. Entries of `savez_compressed` are inflated whole when read.
 * @throws RuntimeError for a damaged archive or array, or an archive with other files in it.
 */
export async function openNpz(source: ByteSource): Promise<TensorFile> {
  const tensors = new Map<string, StoredTensor>();
  for (const [name, entry] of await arraysIn(source)) tensors.set(name, await storedNpy(name, entry));
  return new StoredTensorFile(source, tensors, {});
}

/** The `.npy` files in a `.npz`, by the names of their arrays. */
async function arraysIn(source: ByteSource): Promise<Map<string, ByteSource>> {
  const arrays = new Map<string, ByteSource>();
  for (const [file, entry] of await openZip(source)) {
    if (!file.endsWith('.npy')) {
      throw new RuntimeError({
        code: 'bad-format',
        where: source.name,
        what: 'it is not a .npz file',
        why: `the archive holds ${quote(file)}`,
        fix: 'write it with numpy.savez',
      });
    }
    arrays.set(file.slice(0, -'.npy'.length), entry);
  }
  return arrays;
}

/**
 * One array whole: of a `.npy` file, or of a `.npz` the one called `name`, or the only one.
 * @throws RuntimeError `not-found` when a `.npz` holds several others.
 */
export async function readArray(source: ByteSource, name: string): Promise<NpyArray> {
  const head = await source.read(0, Math.min(2, source.size));
  if (head[0] !== 0x50 || head[1] !== 0x4b) return parseNpy(await source.read(0, source.size), source.name);
  const arrays = await arraysIn(source);
  const entry = arrays.get(name) ?? (arrays.size === 1 ? [...arrays.values()][0] : undefined);
  if (entry) return parseNpy(await entry.read(0, entry.size), entry.name);
  throw new RuntimeError({
    code: 'not-found',
    where: source.name,
    what: `it holds no array ${quote(name)}`,
    why: `its arrays are ${
      [...arrays.keys()]
        .slice(0, 8)
        .map((n) => quote(n))
        .join(', ') || 'none'
    }`,
    fix: `save it under that name: numpy.savez(FILE, ${/^[A-Za-z_]\w*$/.test(name) ? name : 'x'}=array)`,
  });
}
