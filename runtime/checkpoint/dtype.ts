/**
 * The element types a checkpoint can hold and their little-endian byte forms, decoded and encoded in bulk. The host is
 * assumed little-endian, as every machine with a GPU that WebGPU reaches is.
 */
import { RuntimeError } from '../error.ts';

export type DType =
  'f32' | 'f16' | 'bf16' | 'f64' | 'i64' | 'i32' | 'i16' | 'i8' | 'u64' | 'u32' | 'u16' | 'u8' | 'bool';

/** Bytes of one element. */
export const DTYPE_BYTES: Readonly<Record<DType, number>> = {
  f64: 8,
  i64: 8,
  u64: 8,
  f32: 4,
  i32: 4,
  u32: 4,
  f16: 2,
  bf16: 2,
  i16: 2,
  u16: 2,
  i8: 1,
  u8: 1,
  bool: 1,
};

export function isFloat(dtype: DType): boolean {
  return dtype === 'f32' || dtype === 'f16' || dtype === 'bf16' || dtype === 'f64';
}

/** Product of the sizes; NaN when it is not exact below 2^53 or a size is not a non-negative integer. */
export function elementCount(shape: readonly number[]): number {
  let empty = false;
  let product = 1;
  for (const size of shape) {
    if (!Number.isSafeInteger(size) || size < 0) return NaN;
    if (size === 0) empty = true;
    else product *= size;
  }
  if (empty) return 0;
  return Number.isSafeInteger(product) ? product : NaN;
}

type View<T> = new (buffer: ArrayBufferLike, byteOffset: number, length: number) => T;

/** Bytes as typed elements: a view when they are aligned, else a copy. A trailing partial element is dropped. */
function view<T>(bytes: Uint8Array, type: View<T> & { BYTES_PER_ELEMENT: number }): T {
  const size = type.BYTES_PER_ELEMENT;
  const aligned = bytes.byteOffset % size === 0 ? bytes : new Uint8Array(bytes);
  return new type(aligned.buffer, aligned.byteOffset, Math.floor(aligned.length / size));
}

let halfTable: Float32Array | undefined;

/** Every f16 bit pattern's value: 256 KiB once, and then a load per element. */
function halfValues(): Float32Array {
  if (halfTable) return halfTable;
  halfTable = new Float32Array(65536);
  for (let bits = 0; bits < 65536; bits++) {
    const exponent = (bits >> 10) & 31;
    const mantissa = bits & 1023;
    const magnitude =
      exponent === 31
        ? mantissa
          ? NaN
          : Infinity
        : exponent === 0
          ? mantissa * 2 ** -24
          : (1024 + mantissa) * 2 ** (exponent - 25);
    halfTable[bits] = bits & 0x8000 ? -magnitude : magnitude;
  }
  return halfTable;
}

/** Elements of `size` bytes in the other byte order. */
export function swapped(bytes: Uint8Array, size: number): Uint8Array {
  const out = new Uint8Array(bytes);
  for (let i = 0; i + size <= out.length; i += size) out.subarray(i, i + size).reverse();
  return out;
}

/** Elements as their bits. */
export type Words = Uint8Array | Uint16Array | Uint32Array | BigUint64Array;

export function wordsOf(dtype: DType, bytes: Uint8Array): Words {
  const size = DTYPE_BYTES[dtype];
  if (size === 1) return bytes;
  return size === 2 ? view(bytes, Uint16Array) : size === 4 ? view(bytes, Uint32Array) : view(bytes, BigUint64Array);
}

/** Little-endian elements times −1: of floats the sign is turned, also that of a NaN. */
export function negated(dtype: DType, bytes: Uint8Array): Uint8Array {
  const out = new Uint8Array(bytes);
  const size = DTYPE_BYTES[dtype];
  if (isFloat(dtype)) {
    for (let i = size - 1; i < out.length; i += size) out[i] ^= 0x80;
    return out;
  }
  const numbers = decodeNumbers(dtype, out);
  for (let i = 0; i < numbers.length; i++) numbers[i] = -numbers[i];
  return new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength);
}

/** Little-endian elements as they are: f16 and bf16 widened to f32, bool as 0 or 1. */
export function decodeNumbers(dtype: DType, bytes: Uint8Array) {
  switch (dtype) {
    case 'f32':
      return view(bytes, Float32Array);
    case 'f16': {
      const table = halfValues();
      const bits = view(bytes, Uint16Array);
      const out = new Float32Array(bits.length);
      for (let i = 0; i < out.length; i++) out[i] = table[bits[i]];
      return out;
    }
    case 'bf16': {
      const wide = new Uint32Array(view(bytes, Uint16Array));
      for (let i = 0; i < wide.length; i++) wide[i] <<= 16;
      return new Float32Array(wide.buffer);
    }
    case 'f64':
      return view(bytes, Float64Array);
    case 'i64':
      return view(bytes, BigInt64Array);
    case 'u64':
      return view(bytes, BigUint64Array);
    case 'i32':
      return view(bytes, Int32Array);
    case 'u32':
      return view(bytes, Uint32Array);
    case 'i16':
      return view(bytes, Int16Array);
    case 'u16':
      return view(bytes, Uint16Array);
    case 'i8':
      return view(bytes, Int8Array);
    case 'u8':
      return bytes;
    case 'bool':
      return bytes.map((byte) => (byte ? 1 : 0));
  }
}

/** Little-endian elements as f32, rounded to nearest; bool is 0 or 1. */
export function decodeF32(dtype: DType, bytes: Uint8Array): Float32Array {
  const numbers = decodeNumbers(dtype, bytes);
  if (numbers instanceof Float32Array) return numbers;
  if (!(numbers instanceof BigInt64Array || numbers instanceof BigUint64Array)) return new Float32Array(numbers);
  const out = new Float32Array(numbers.length);
  for (let i = 0; i < out.length; i++) out[i] = Number(numbers[i]);
  return out;
}

/**
 * Little-endian elements as i32: whole numbers of any type, floats too.
 * @throws RuntimeError `out-of-range` naming `where` and the first that is a fraction or beyond ±2^31; `first` is the
 * number of the first element, where they are a tensor's in order.
 */
export function decodeI32(dtype: DType, bytes: Uint8Array, where: string, first?: number): Int32Array {
  const numbers = decodeNumbers(dtype, bytes);
  if (numbers instanceof Int32Array) return numbers;
  const out = new Int32Array(numbers.length);
  for (let i = 0; i < out.length; i++) {
    out[i] = Number(numbers[i]);
    if (Number(numbers[i]) === out[i]) continue;
    const element = first === undefined ? 'an element' : `element ${first + i}`;
    const what = `${element} is ${numbers[i]}, which does not fit i32`;
    const why = 'the GPU has no 64-bit integers, so whole numbers are read as i32';
    const fix = 'store whole numbers from -2147483648 to 2147483647';
    throw new RuntimeError({ code: 'out-of-range', where, what, why, fix });
  }
  return out;
}
