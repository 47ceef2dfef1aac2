/** Tensors that lie in an ONNX file or in one beside it: what they are, and where their bytes are. */
import { decodeNumbers, DTYPE_BYTES, elementCount, type DType } from '../checkpoint/dtype.ts';
import { quote, RuntimeError } from '../error.ts';
import type { TensorProto } from './messages.ts';

/** ONNX's numbers of types. */
const DTYPES: Readonly<Record<number, DType>> = {
  1: 'f32',
  2: 'u8',
  3: 'i8',
  4: 'u16',
  5: 'i16',
  6: 'i32',
  7: 'i64',
  9: 'bool',
  10: 'f16',
  11: 'f64',
  12: 'u32',
  13: 'u64',
  16: 'bf16',
};

/** What they are called, of those that are not read. */
const OTHERS: Readonly<Record<number, string>> = {
  0: 'no type',
  8: 'strings',
  14: 'complex64',
  15: 'complex128',
  17: 'float8e4m3fn',
  18: 'float8e4m3fnuz',
  19: 'float8e5m2',
  20: 'float8e5m2fnuz',
  21: 'uint4',
  22: 'int4',
  23: 'float4e2m1',
};

export const dtypeOf = (number: number): DType | undefined => DTYPES[number];
export const dtypeName = (number: number): string => DTYPES[number] ?? OTHERS[number] ?? `type ${number}`;

/** Bytes of another file, by its path from the folder of the ONNX file. */
export interface External {
  readonly location: string;
  readonly offset: number;
  /** To the end of the file unless told. */
  readonly length?: number;
}

/** The element type, the row-major shape, and little-endian bytes or where they are. */
export interface OnnxTensor {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: Uint8Array | External;
}

/** @throws RuntimeError naming the tensor, which lies in the file `where`. */
export function tensorOf(proto: TensorProto, where: string): OnnxTensor {
  const fail = failure(where, proto.name);
  const dtype = dtypeOf(proto.dataType);
  if (!dtype) {
    const fix = 'convert it to float32, or export the network without quantisation';
    throw fail(`${dtypeName(proto.dataType)} are not read`, undefined, fix, 'unsupported');
  }
  const count = elementCount(proto.dims);
  if (Number.isNaN(count)) throw fail(`its shape is [${proto.dims}]`, 'sizes are whole numbers', DAMAGED);
  const given = proto.dataLocation === 1 ? externalOf(proto, fail) : (proto.rawData ?? typedBytes(proto, dtype));
  if (given instanceof Uint8Array) checkBytes(given.length, { dtype, shape: proto.dims }, fail);
  return { name: proto.name, dtype, shape: proto.dims, data: given };
}

const DAMAGED = 'the file is damaged or was not copied completely: download or export it again';

type Fail = (what: string, why?: string, fix?: string, code?: string) => RuntimeError;

const failure =
  (where: string, name: string): Fail =>
  (what, why, fix = DAMAGED, code = 'bad-format') =>
    new RuntimeError({ code, where: `${where}: ${quote(name)}`, what, why, fix });

function checkBytes(held: number, { dtype, shape }: Pick<OnnxTensor, 'dtype' | 'shape'>, fail: Fail): void {
  const expected = elementCount(shape) * DTYPE_BYTES[dtype];
  if (held === expected) return;
  const why = `shape [${shape}] of ${dtype} takes ${expected} bytes, it has ${held}`;
  throw fail('shape and data disagree', why, DAMAGED, held < expected ? 'truncated' : 'bad-format');
}

/** The largest float64 below 2^63: ends of slices are 2^63 − 1, which as a float64 is 2^63. */
const MOST_I64 = 2 ** 63 - 1024;

/** Values that are stored as numbers of a wider type than they are of. */
function typedBytes(proto: TensorProto, dtype: DType): Uint8Array {
  const { floatData = [], int32Data = [], int64Data = [], doubleData = [], uint64Data = [] } = proto;
  switch (dtype) {
    case 'f32':
      return bytesOf(Float32Array.from(floatData));
    case 'f64':
      return bytesOf(Float64Array.from(doubleData));
    case 'i64':
      return bytesOf(BigInt64Array.from(int64Data, (value) => BigInt(Math.min(value, MOST_I64))));
    case 'u64':
      return bytesOf(BigUint64Array.from(uint64Data, BigInt));
    case 'u32':
      return bytesOf(Uint32Array.from(uint64Data));
    case 'i32':
      return bytesOf(Int32Array.from(int32Data));
    case 'i16':
    case 'u16':
    case 'f16': // by their bits
    case 'bf16':
      return bytesOf(Uint16Array.from(int32Data));
    default:
      return Uint8Array.from(int32Data);
  }
}

const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);

function externalOf({ externalData = [] }: TensorProto, fail: Fail): External {
  const found = new Map(externalData.map(({ key, value }) => [key, value]));
  const location = found.get('location') ?? '';
  const isInside = /^[^/\\]/.test(location) && !/(^|[/\\])\.\.([/\\]|$)|^\w:/.test(location);
  if (!isInside) {
    const why = location ? `it is said to lie in ${quote(location)}` : 'no file is named';
    throw fail('its values lie in no file beside this one', why, 'export it with files in one folder');
  }
  const [offset, length] = ['offset', 'length'].map((key) => (found.has(key) ? Number(found.get(key)) : undefined));
  const wrong = [offset, length].find((n) => n !== undefined && !(Number.isSafeInteger(n) && n >= 0));
  if (wrong !== undefined) throw fail('where its values lie is no number of bytes', String(wrong));
  return { location, offset: offset ?? 0, length };
}

/** The range of bytes in the file beside, of `size` bytes, that a tensor lies in. */
export function externalRange(tensor: OnnxTensor, where: string, size: number): { offset: number; length: number } {
  const { offset, length = size - offset } = tensor.data as External;
  const fail = failure(where, tensor.name);
  if (offset + length > size) {
    const why = `bytes ${offset}..${offset + length} are needed, ${(tensor.data as External).location} has ${size}`;
    throw fail('the file with its values ends too early', why, DAMAGED, 'truncated');
  }
  checkBytes(length, tensor, fail);
  return { offset, length };
}

/** The values as numbers; 64-bit ones beyond 2^53 to the nearest. */
export function numbersOf(dtype: DType, data: Uint8Array): Float64Array {
  const numbers = decodeNumbers(dtype, data);
  return numbers instanceof BigInt64Array || numbers instanceof BigUint64Array
    ? Float64Array.from(numbers, Number)
    : Float64Array.from(numbers);
}
