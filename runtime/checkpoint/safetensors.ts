/**
 * safetensors reader: 8 bytes of little-endian header length, a JSON header, then the tensors' bytes. Everything the
 * header says is checked before a tensor is read: the format's promise is that the data section is covered exactly.
 * Source: https://github.com/huggingface/safetensors#format
 */
import { RuntimeError, quote } from '../error.ts';
import { DTYPE_BYTES, elementCount } from './dtype.ts';
import type { DType } from './dtype.ts';
import { parseJson } from './json.ts';
import type { Json } from './json.ts';
import type { ByteSource, TensorFile } from './source.ts';
import { StoredTensorFile } from './stored.ts';
import type { StoredTensor } from './stored.ts';

/** The reference implementation's limit. */
export const MAX_HEADER_BYTES = 100_000_000;

/** The format's names of the dtypes that are read. */
export const SAFETENSORS_DTYPES: Readonly<Record<DType, string>> = {
  f32: 'F32',
  f16: 'F16',
  bf16: 'BF16',
  f64: 'F64',
  i64: 'I64',
  u64: 'U64',
  i32: 'I32',
  u32: 'U32',
  i16: 'I16',
  u16: 'U16',
  i8: 'I8',
  u8: 'U8',
  bool: 'BOOL',
};
const BY_NAME = new Map(Object.entries(SAFETENSORS_DTYPES).map(([dtype, name]) => [name, dtype as DType]));

const REWRITE = 'the file is damaged or was written by a broken tool: download or write it again';

function bad(where: string, what: string, why: string, fix = REWRITE, code = 'bad-format'): RuntimeError {
  return new RuntimeError({ code, where, what, why, fix });
}

/** What the header says of a tensor. Its dtype may be one that is not read. */
interface Listed {
  readonly name: string;
  readonly dtypeName: string;
  readonly dtype: DType | undefined;
  readonly shape: number[];
  readonly byteOffset: number;
  readonly end: number;
}

/** A header's tensor entry, checked on its own (not yet against its neighbours). */
function parseTensor(name: string, entry: Json, source: ByteSource, dataStart: number): Listed {
  const tensor = `tensor ${quote(name)}`;
  if (!(entry instanceof Map)) throw bad(source.name, `${tensor} is malformed`, 'its entry is not an object');
  const dtypeName = entry.get('dtype');
  if (typeof dtypeName !== 'string' || !/^[A-Z][A-Z0-9_]{0,31}$/.test(dtypeName)) {
    const shown = typeof dtypeName === 'string' ? quote(dtypeName) : 'missing';
    throw bad(
      source.name,
      `${tensor}: the dtype is ${shown}`,
      `it must be a name such as ${[...BY_NAME.keys()].join(', ')}`,
    );
  }
  const shape = entry.get('shape');
  const isSize = (n: Json): n is number => typeof n === 'number' && Number.isSafeInteger(n) && n >= 0;
  if (!Array.isArray(shape) || shape.length > 64 || !shape.every(isSize)) {
    throw bad(source.name, `${tensor}: the shape is malformed`, 'it must be a list of non-negative integers');
  }
  const offsets = entry.get('data_offsets');
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isSize) || offsets[0] > offsets[1]) {
    throw bad(source.name, `${tensor}: data_offsets are malformed`, 'they must be two integers, begin ≤ end');
  }
  const [begin, end] = offsets;
  if (entry.size !== 3) {
    throw bad(source.name, `${tensor} is malformed`, 'its keys must be dtype, shape and data_offsets');
  }
  const dtype = BY_NAME.get(dtypeName);
  const bytes = dtype === undefined ? end - begin : elementCount(shape) * DTYPE_BYTES[dtype];
  if (bytes !== end - begin) {
    const why = `shape [${shape}] of ${dtype} takes ${Number.isSafeInteger(bytes) ? bytes : 'over 2^53'} bytes, data_offsets hold ${end - begin}`;
    throw bad(source.name, `${tensor}: shape and data disagree`, why);
  }
  if (dataStart + end > source.size) {
    const why = `its data ends at byte ${dataStart + end}, the file at ${source.size}`;
    throw bad(source.name, `${tensor} lies beyond the end of the file`, why, undefined, 'truncated');
  }
  return { name, dtypeName, dtype, shape, byteOffset: dataStart + begin, end: dataStart + end };
}

function parseMetadata(entry: Json | undefined, where: string): Record<string, string> {
  const metadata: Record<string, string> = Object.create(null);
  if (entry === undefined) return metadata;
  if (!(entry instanceof Map)) throw bad(where, '__metadata__ is malformed', 'it must be an object of strings');
  for (const [key, value] of entry) {
    if (typeof value !== 'string') throw bad(where, `__metadata__ ${quote(key)} is malformed`, 'it must be a string');
    metadata[key] = value;
  }
  return metadata;
}

/** The tensors must tile the data section: an overlap or an unused byte means the header lies about something. */
function checkTiling(tensors: readonly Listed[], source: ByteSource, dataStart: number): void {
  const ordered = [...tensors].sort((a, b) => a.byteOffset - b.byteOffset || a.end - b.end);
  let at = dataStart;
  let previous = 'the header';
  for (const t of ordered) {
    if (t.byteOffset !== at) {
      const what = t.byteOffset < at ? 'overlaps' : 'leaves a hole after';
      const why = `its data begins at byte ${t.byteOffset}, ${previous} ends at ${at}`;
      throw bad(source.name, `tensor ${quote(t.name)} ${what} ${previous}`, why);
    }
    at = t.end;
    previous = `tensor ${quote(t.name)}`;
  }
  if (at !== source.size) {
    throw bad(source.name, 'bytes follow the last tensor', `the data ends at byte ${at}, the file at ${source.size}`);
  }
}

/**
 * Opens a safetensors file. Reads the header only.
 * @throws RuntimeError `bad-format`, `truncated`, `unsupported` or `limit`, naming the file and the tensor.
 */
export async function openSafetensors(source: ByteSource): Promise<TensorFile> {
  const prefix = await source.read(0, 8);
  const length = new DataView(prefix.buffer, prefix.byteOffset).getBigUint64(0, true);
  if (length > MAX_HEADER_BYTES) {
    throw bad(
      source.name,
      `the header is ${length} bytes long`,
      `at most ${MAX_HEADER_BYTES} are allowed`,
      undefined,
      'limit',
    );
  }
  const dataStart = 8 + Number(length);
  if (dataStart > source.size) {
    const why = `the header takes ${length} bytes, the file has ${source.size}`;
    throw bad(source.name, 'the file ends inside its header', why, undefined, 'truncated');
  }
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(await source.read(8, Number(length)));
  } catch (error) {
    if (error instanceof RuntimeError) throw error;
    throw bad(source.name, 'the header is malformed', 'it is not valid UTF-8');
  }
  if (!text.startsWith('{')) throw bad(source.name, 'the header is malformed', 'it must begin with {');
  const header = parseJson(text, source.name, 4);
  if (!(header instanceof Map)) throw bad(source.name, 'the header is malformed', 'it must be an object');
  const metadata = parseMetadata(header.get('__metadata__'), source.name);
  const listed: Listed[] = [];
  for (const [name, entry] of header) {
    if (name !== '__metadata__') listed.push(parseTensor(name, entry, source, dataStart));
  }
  checkTiling(listed, source, dataStart);
  const tensors = new Map<string, StoredTensor>();
  const unread = new Map<string, string>();
  for (const { name, dtypeName, dtype, shape, byteOffset } of listed) {
    if (dtype === undefined) unread.set(name, dtypeName);
    else tensors.set(name, { name, dtype, shape, source, byteOffset });
  }
  return new StoredTensorFile(source, tensors, metadata, unread);
}
