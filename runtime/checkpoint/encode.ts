/** Typed values to little-endian bytes of a checkpoint's element type: the inverse of dtype.ts, for the writers. */
import { RuntimeError } from '../error.ts';
import type { DType } from './dtype.ts';

/** Values to store. A Uint8Array for any dtype but u8 and bool is taken as bytes already encoded. */
export type Values = Float32Array | Float64Array | Int32Array | BigInt64Array | Int16Array | Int8Array | Uint8Array;

const INTEGER_RANGE: Partial<Record<DType, [number, number]>> = {
  i64: [-(2 ** 63), 2 ** 63 - 1024],
  i32: [-(2 ** 31), 2 ** 31 - 1],
  i16: [-32768, 32767],
  i8: [-128, 127],
  u8: [0, 255],
  bool: [0, 1],
};

const float = new Float32Array(1);
const floatBits = new Uint32Array(float.buffer);

/** f64 → f16 bits, round to nearest even, overflow to infinity, NaN kept quiet. */
export function toHalfBits(value: number): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const magnitude = Math.abs(value);
  if (Number.isNaN(value)) return 0x7e00;
  // 65520 is halfway between the largest f16 (65504) and 2^16: ties go to even, which is infinity.
  if (magnitude >= 65520) return sign | 0x7c00;
  // Below 2^-14 the spacing is 2^-24 throughout (subnormals); above, the exponent sets it.
  const exponent = magnitude < 2 ** -14 ? -14 : floorLog2(magnitude);
  const scaled = roundTiesToEven(magnitude * 2 ** (10 - exponent));
  // A carry out of the mantissa lands in the exponent field by itself, because the fields are adjacent.
  return sign | (magnitude < 2 ** -14 ? scaled : ((exponent + 14) << 10) + scaled);
}

/** Exact for normal f64 values in f16's range, which is all toHalfBits asks of it. */
function floorLog2(value: number): number {
  let exponent = Math.floor(Math.log2(value));
  if (2 ** exponent > value) exponent--;
  if (2 ** (exponent + 1) <= value) exponent++;
  return exponent;
}

function roundTiesToEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
}

/** f32 → bf16 bits, round to nearest even, NaN kept quiet. */
export function toBfloat16Bits(value: number): number {
  if (Number.isNaN(value)) return 0x7fc0;
  float[0] = value;
  const bits = floatBits[0];
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}

function checkIntegers(values: Exclude<Values, BigInt64Array>, dtype: DType, where: string): void {
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

function encodeTyped(dtype: DType, values: Values): ArrayBufferView {
  const numbers = values as Float32Array;
  switch (dtype) {
    case 'f32':
      return values instanceof Float32Array ? values : Float32Array.from(values as Iterable<number>);
    case 'f64':
      return Float64Array.from(numbers);
    case 'f16':
      return Uint16Array.from(numbers, toHalfBits);
    case 'bf16':
      return Uint16Array.from(numbers, toBfloat16Bits);
    case 'i64':
      return values instanceof BigInt64Array ? values : BigInt64Array.from(numbers as Iterable<number>, BigInt);
    case 'i32':
      return Int32Array.from(numbers);
    case 'i16':
      return Int16Array.from(numbers);
    case 'i8':
      return Int8Array.from(numbers);
    case 'u8':
    case 'bool':
      return Uint8Array.from(numbers);
  }
}

/**
 * `values` as the bytes of `dtype`; f16 and bf16 round to nearest even.
 * @throws RuntimeError `out-of-range` for a value an integer type cannot hold (or a bigint for anything but i64).
 */
export function encodeValues(dtype: DType, values: Values, where: string): Uint8Array {
  if (values instanceof Uint8Array && dtype !== 'bool') return values;
  if (values instanceof BigInt64Array) {
    if (dtype !== 'i64') {
      throw new RuntimeError({ code: 'unsupported', where, what: `64-bit integers cannot be stored as ${dtype}` });
    }
  } else if (dtype in INTEGER_RANGE) checkIntegers(values, dtype, where);
  const typed = encodeTyped(dtype, values);
  return new Uint8Array(typed.buffer, typed.byteOffset, typed.byteLength);
}
