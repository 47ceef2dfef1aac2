/**
 * NumPy's `.npy`: one array, whole in memory. The command line's inputs and outputs and the golden tests use it; the
 * large files are safetensors and `.pt`.
 */
import { RuntimeError } from '../error.ts';
import { decodeNumbers, DTYPE_BYTES, elementCount, swapped } from './dtype.ts';
import type { DType } from './dtype.ts';
import { encodeValues } from './encode.ts';
import type { Values } from './encode.ts';
import { encodeNpyHeader, npyError, parseNpyHeader } from './npy-header.ts';

/** The values' array type by dtype: f16 is widened to f32, bool is 0 or 1 in bytes. */
export interface NpyArray {
  dtype: Exclude<DType, 'bf16'>;
  /** Row-major; `[]` is a scalar. */
  shape: number[];
  data: Values;
}

/** Column-major elements of `size` bytes to row-major. */
function fromFortran(bytes: Uint8Array, shape: readonly number[], size: number): Uint8Array {
  const out = new Uint8Array(bytes.length);
  const index = new Array<number>(shape.length).fill(0);
  const strides: number[] = [];
  let step = size;
  for (const count of shape) {
    strides.push(step);
    step *= count;
  }
  let from = 0;
  for (let to = 0; to < out.length; to += size) {
    for (let b = 0; b < size; b++) out[to + b] = bytes[from + b];
    for (let i = shape.length - 1; i >= 0; i--) {
      from += strides[i];
      if (++index[i] < shape[i]) break;
      from -= shape[i] * strides[i];
      index[i] = 0;
    }
  }
  return out;
}

/**
 * The array in a `.npy` file's bytes; Fortran order and big-endian values are converted.
 * @throws RuntimeError naming `where` for a malformed, truncated or oversized file and for dtypes not read.
 */
export function parseNpy(bytes: Uint8Array, where: string): NpyArray {
  const { dtype, bigEndian, fortranOrder, shape, dataStart } = parseNpyHeader(bytes, where);
  const size = DTYPE_BYTES[dtype];
  const expected = elementCount(shape) * size;
  if (bytes.length - dataStart !== expected) {
    const why = `shape [${shape}] of ${dtype} takes ${expected} bytes, the file has ${bytes.length - dataStart}`;
    const short = bytes.length - dataStart < expected;
    throw npyError(where, 'shape and data disagree', why, undefined, short ? 'truncated' : 'bad-format');
  }
  let data: Uint8Array = new Uint8Array(bytes.subarray(dataStart)); // a copy: aligned, and the caller's bytes stay as they are
  if (bigEndian) data = swapped(data, size);
  if (fortranOrder && shape.length > 1) data = fromFortran(data, shape, size);
  return { dtype: dtype as NpyArray['dtype'], shape, data: decodeNumbers(dtype, data) };
}

/** An array's values as f32, rounded to nearest. May share memory with it. */
export function npyToF32({ data }: NpyArray): Float32Array {
  return data instanceof Float32Array ? data : Float32Array.from(data as ArrayLike<number>, Number);
}

/**
 * A `.npy` file's bytes, little-endian and row-major, the same for the same array.
 * @throws RuntimeError when the values do not match the shape or do not fit the dtype.
 */
export function encodeNpy(array: NpyArray, where = '.npy'): Uint8Array {
  const header = encodeNpyHeader(array.dtype, array.shape);
  const count = elementCount(array.shape);
  if (array.data.length !== count) {
    const why = `shape [${array.shape}] holds ${count} values, ${array.data.length} were given`;
    const fix = 'pass exactly as many values as the shape holds';
    throw new RuntimeError({ code: 'bad-argument', where, what: 'values and shape disagree', why, fix });
  }
  // encodeValues takes a Uint8Array as bytes already encoded; here it always holds values.
  const isValues = array.data instanceof Uint8Array && array.dtype !== 'u8';
  const values = isValues ? Int32Array.from(array.data as Uint8Array) : array.data;
  const data = encodeValues(array.dtype, values, where);
  const out = new Uint8Array(header.length + data.length);
  out.set(header);
  out.set(data, header.length);
  return out;
}
