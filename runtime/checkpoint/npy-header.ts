/**
 * The `.npy` header: magic, version, length, and a Python dict literal with `descr`, `fortran_order` and `shape`.
 * Source: numpy/lib/format.py. The literal is matched against its one grammar, never evaluated.
 */
import { RuntimeError, quote } from '../error.ts';
import { elementCount } from './dtype.ts';
import type { DType } from './dtype.ts';

/** NumPy itself refuses more than 10,000 bytes unless told to trust the file. */
const MAX_HEADER_BYTES = 65536;
const MAX_RANK = 64;

const DESCRIPTORS = new Map<string, DType>([
  ['f8', 'f64'],
  ['f4', 'f32'],
  ['f2', 'f16'],
  ['i8', 'i64'],
  ['i4', 'i32'],
  ['i2', 'i16'],
  ['i1', 'i8'],
  ['u8', 'u64'],
  ['u4', 'u32'],
  ['u2', 'u16'],
  ['u1', 'u8'],
  ['b1', 'bool'],
]);

export interface NpyHeader {
  dtype: DType;
  bigEndian: boolean;
  fortranOrder: boolean;
  shape: number[];
  /** Byte offset of the first element. */
  dataStart: number;
}

export function npyError(where: string, what: string, why: string, fix?: string, code = 'bad-format'): RuntimeError {
  return new RuntimeError({ code, where, what, why, fix: fix ?? 'write it again with numpy.save' });
}

/** One `'key': value` of the dict; values are a string, a bool or a tuple of integers (`3L` in Python 2 files). */
const ITEM = /^\s*'(\w+)'\s*:\s*(?:'([^']*)'|(True|False)|\(([\dL,\s]*)\))\s*(,|$)/;

function parseDict(text: string, where: string): Map<string, RegExpExecArray> {
  const body = /^\s*\{(.*)\}\s*$/s.exec(text);
  const items = new Map<string, RegExpExecArray>();
  let rest = body?.[1] ?? '';
  while (rest.trim() !== '') {
    const item = ITEM.exec(rest);
    if (!item || items.has(item[1])) break;
    items.set(item[1], item);
    rest = rest.slice(item[0].length);
  }
  if (!body || rest.trim() !== '' || items.size !== 3) {
    const why = `${quote(text.trim())} is not {'descr': '<f4', 'fortran_order': False, 'shape': (…)}`;
    const fix = 'write a plain array with numpy.save; structured and object arrays are not read';
    throw npyError(where, 'the header is malformed', why, fix);
  }
  return items;
}

function parseShape(text: string, where: string): number[] {
  const parts = text.split(',').map((part) => part.trim());
  if (parts.at(-1) === '') parts.pop(); // `()` and the comma of `(3,)`
  const shape = parts.map((part) => (/^\d+L?$/.test(part) ? parseInt(part, 10) : NaN));
  if (shape.length <= MAX_RANK && !Number.isNaN(elementCount(shape))) return shape;
  throw npyError(where, `the shape is (${text.slice(0, 80)})`, 'sizes must be integers whose product is below 2^53');
}

/** Parses and checks the header of a whole `.npy` file's bytes. */
export function parseNpyHeader(bytes: Uint8Array, where: string): NpyHeader {
  const magic = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59];
  if (bytes.length < 10 || !magic.every((byte, i) => bytes[i] === byte)) {
    throw npyError(where, 'it is not a .npy file', 'it does not begin with \\x93NUMPY');
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const version = bytes[6];
  if (version < 1 || version > 3) throw npyError(where, `the .npy version is ${version}`, 'versions 1 to 3 are read');
  const lengthEnd = version === 1 ? 10 : 12;
  if (bytes.length < lengthEnd)
    throw npyError(where, 'the file ends inside its header', 'no length', undefined, 'truncated');
  const length = version === 1 ? view.getUint16(8, true) : view.getUint32(8, true);
  const dataStart = lengthEnd + length;
  if (length > MAX_HEADER_BYTES) {
    throw npyError(
      where,
      `the header takes ${length} bytes`,
      `at most ${MAX_HEADER_BYTES} are allowed`,
      undefined,
      'limit',
    );
  }
  if (dataStart > bytes.length) {
    const why = `the header ends at byte ${dataStart}, the file at ${bytes.length}`;
    throw npyError(where, 'the file ends inside its header', why, undefined, 'truncated');
  }
  const items = parseDict(new TextDecoder('latin1').decode(bytes.subarray(lengthEnd, dataStart)), where);
  const descr = items.get('descr')?.[2];
  const fortran = items.get('fortran_order')?.[3];
  const shape = items.get('shape')?.[4];
  if (descr === undefined || fortran === undefined || shape === undefined) {
    throw npyError(
      where,
      'the header is malformed',
      'it needs descr (a string), fortran_order (a bool) and shape (a tuple)',
    );
  }
  const dtype = DESCRIPTORS.get(descr.slice(1));
  if (!dtype || !'<>|='.includes(descr[0])) {
    const why = `known are ${[...DESCRIPTORS.keys()].join(', ')}, with < or > before them`;
    const fix =
      descr[1] === 'c' ? 'save its parts apart: array.real, array.imag' : 'convert it: array.astype(numpy.float64)';
    throw npyError(where, `the dtype is ${quote(descr)}`, why, fix, 'unsupported');
  }
  return {
    dtype,
    bigEndian: descr[0] === '>',
    fortranOrder: fortran === 'True',
    shape: parseShape(shape, where),
    dataStart,
  };
}

/** A version 1 header, padded so that the data begins at a multiple of 64. */
export function encodeNpyHeader(dtype: DType, shape: readonly number[]): Uint8Array {
  const descriptor = [...DESCRIPTORS].find(([, known]) => known === dtype)?.[0];
  if (!descriptor) {
    const fix = 'write f32, or use safetensors';
    throw new RuntimeError({
      code: 'unsupported',
      what: `${dtype} cannot be stored as .npy`,
      why: 'NumPy has no such type',
      fix,
    });
  }
  const descr = (dtype === 'i8' || dtype === 'u8' || dtype === 'bool' ? '|' : '<') + descriptor;
  const tuple = shape.length === 1 ? `${shape[0]},` : shape.join(', ');
  const dict = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${tuple}), }`;
  const total = Math.ceil((10 + dict.length + 1) / 64) * 64;
  const text = dict.padEnd(total - 11) + '\n';
  const out = new Uint8Array(total);
  out.set([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, text.length & 255, text.length >> 8]);
  out.set(new TextEncoder().encode(text), 10);
  return out;
}
