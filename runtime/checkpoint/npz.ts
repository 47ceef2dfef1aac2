/** NumPy's `.npy` and `.npz` (a ZIP of `.npy`) as files of named tensors, read in place: no array is taken in whole. */
import { RuntimeError, quote } from '../error.ts';
import { DTYPE_BYTES, elementCount } from './dtype.ts';
import { npyError, parseNpyHeader } from './npy_header.ts';
import type { ByteSource, TensorFile } from './source.ts';
import { StoredTensorFile, type StoredTensor } from './stored.ts';
import { openZip } from './zip.ts';

/** More than the largest header that is allowed. */
const HEAD_BYTES = 2 ** 17;

/** The array in a `.npy` file, to be called `name`. */
async function storedNpy(name: string, source: ByteSource): Promise<StoredTensor> {
  const head = await source.read(0, Math.min(source.size, HEAD_BYTES));
  const { dtype, bigEndian, fortranOrder, shape, dataStart } = parseNpyHeader(head, source.name);
  if (bigEndian && DTYPE_BYTES[dtype] > 1) {
    const fix = "convert it: array.astype(array.dtype.newbyteorder('<'))";
    throw npyError(source.name, 'the values are big-endian', 'only little-endian ones are read', fix, 'unsupported');
  }
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
  return { name, dtype, shape, source, byteOffset: dataStart, ...(fortranOrder && { strides: columnMajor }) };
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
    const name = file.slice(0, -'.npy'.length);
    tensors.set(name, await storedNpy(name, entry));
  }
  return new StoredTensorFile(source, tensors, {});
}
