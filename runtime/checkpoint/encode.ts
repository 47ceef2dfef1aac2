/** Typed values to little-endian bytes of a checkpoint's element type: the inverse of dtype.ts, for the writers. */
import { RuntimeError } from '../error.ts';
import type { DType } from './dtype.ts';

/** Values to store. A Uint8Array for any dtype but u8 and bool is taken as bytes already encoded. */
export type Values =
  | Float32Array
  | Float64Array
  | BigInt64Array
  | BigUint64Array
  | Int32Array
  | Uint32Array
  | Int16Array
  | Uint16Array
  | Int8Array
  | Uint8Array;

const INTEGER_RANGE: Partial<Record<DType, [number, number]>> = {
  i64: [-(2 ** 63), 2 ** 63 - 1024],
  u64: [0, 2 ** 64 - 2048],
  i32: [-(2 ** 31), 2 ** 31 - 1],
  u32: [0, 2 ** 32 - 1],
  i16: [-32768, 32767],
  u16: [0, 65535],
  i8: [-128, 127],
  u8: [0, 255],
  bool: [0, 1],
};

const float = new Float32Array(1);
const floatBits = new Uint32Array(float.buffer);

/** f32 bits → f16 bits, round to nearest even, overflow to infinity, NaN kept quiet. */
function halfFromBits(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return 0x7e00;
  // 65520 is halfway between the largest f16 (65504) and 2^16: ties go to even, which is infinity.
  if (magnitude >= 0x477ff000) return sign | 0x7c00;
  if (magnitude < 0x38800000) {
    // Below 2^-14 f16 counts in steps of 2^-24, which is the spacing of f32 just above 0.5: adding 0.5 rounds.
    floatBits[0] = magnitude;
    float[0] += 0.5;
    return sign | (floatBits[0] - 0x3f000000);
  }
  // Rebias the exponent by 112 and round off 13 bits; a carry lands in the exponent, which is where it belongs.
  return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13);
}

/** f32 bits → bf16 bits, round to nearest even, NaN kept quiet. */
function bfloat16FromBits(bits: number): number {
  if ((bits & 0x7fffffff) > 0x7f800000) return 0x7fc0;
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}

/** Plain loops: `Uint16Array.from` with a function takes some 400 ns an element, these take one or two. */
function narrow16(values: Float32Array, fromBits: (bits: number) => number): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const out = new Uint16Array(values.length);
  for (let i = 0; i < out.length; i++) out[i] = fromBits(bits[i]);
  return out;
}

function checkIntegers(values: Exclude<Values, BigInt64Array | BigUint64Array>, dtype: DType, where: string): void {
  const [low, high] = INTEGER_RANGE[dtype]!;
  for (const value of values) {
    if (Number.isInteger(value) && value >= low && value <= high) continue;
    throw new RuntimeError({
      code: 'out-of-range',
      where,
      what: `the value ${value} cannot be stored as ${dtype}`,
      why: `${dtype} holds whole numbers from ${low} to ${high}`,
      fix: 'store the tensor as a float type',
    });
  }
}

function asF32(values: Values): Float32Array {
  return values instanceof Float32Array ? values : new Float32Array(values as Float64Array);
}

function encodeTyped(dtype: DType, values: Values): ArrayBufferView {
  const numbers = values as Float32Array;
  switch (dtype) {
    case 'f32':
      return asF32(values);
    case 'f64':
      return new Float64Array(numbers);
    case 'f16':
      return narrow16(asF32(values), halfFromBits);
    case 'bf16':
      return narrow16(asF32(values), bfloat16FromBits);
    case 'i64':
      return values instanceof BigInt64Array ? values : BigInt64Array.from(numbers as Iterable<number>, BigInt);
    case 'u64':
      return values instanceof BigUint64Array ? values : BigUint64Array.from(numbers as Iterable<number>, BigInt);
    case 'i32':
      return new Int32Array(numbers);
    case 'u32':
      return new Uint32Array(numbers);
    case 'i16':
      return new Int16Array(numbers);
    case 'u16':
      return new Uint16Array(numbers);
    case 'i8':
      return new Int8Array(numbers);
    case 'u8':
    case 'bool':
      return new Uint8Array(numbers);
  }
}

/**
 * `values` as the bytes of `dtype`; f16 and bf16 round to nearest even.
 * @throws RuntimeError `out-of-range` for a value an integer type cannot hold (or bigints for another type than their own).
 */
export function encodeValues(dtype: DType, values: Values, where: string): Uint8Array {
  if (values instanceof Uint8Array && dtype !== 'bool') return values;
  if (values instanceof BigInt64Array || values instanceof BigUint64Array) {
    if (dtype !== (values instanceof BigInt64Array ? 'i64' : 'u64')) {
      throw new RuntimeError({ code: 'unsupported', where, what: `64-bit integers cannot be stored as ${dtype}` });
    }
  } else if (dtype in INTEGER_RANGE) checkIntegers(values, dtype, where);
  const typed = encodeTyped(dtype, values);
  return new Uint8Array(typed.buffer, typed.byteOffset, typed.byteLength);
}
