/**
 * A TensorFile over tensors whose bytes lie in ByteSources: the reading half that safetensors and `.pt` share. Values
 * are decoded in bounded chunks; a non-contiguous view is gathered block by block, so memory stays bounded there too.
 */
import { RuntimeError, quote } from '../error.ts';
import { decodeF32, decodeI32, DTYPE_BYTES, elementCount, negated, swapped, wordsOf, type Words } from './dtype.ts';
import { checkElements, unreadError, type ByteSource, type TensorFile, type TensorInfo } from './source.ts';
import { collapse, forEachRow, isContiguous, rowMajorStrides } from './strided.ts';
import type { Dims } from './strided.ts';

/** Where a tensor's elements are. The reader of the format has already checked that they lie inside `source`. */
export interface StoredTensor extends TensorInfo {
  source: ByteSource;
  /** Byte offset of element 0 in `source`. */
  byteOffset: number;
  /** In elements, none negative; row-major when absent. */
  strides?: number[];
  bigEndian?: boolean;
  /** The values are those stored times −1. */
  negated?: boolean;
}

/** 1 Mi elements: 4 MiB of f32, large enough that a read costs more than its call. */
const DEFAULT_CHUNK = 1 << 20;
/** Elements of a strided view gathered at once, and of storage read at once to do so: 64 MiB of f32 each. */
const GATHER = 1 << 24;

type Decoded = Float32Array | Int32Array | Words;
/** Stored bytes as values; `first` is the number of the first, where they are the tensor's in order. */
type Decode<T extends Decoded> = (bytes: Uint8Array, first?: number) => T;

/** The bytes of stored elements, little-endian. */
async function readElements({ source, dtype, byteOffset, bigEndian }: StoredTensor, first: number, count: number) {
  const size = DTYPE_BYTES[dtype];
  const bytes = await source.read(byteOffset + first * size, count * size);
  return bigEndian ? swapped(bytes, size) : bytes;
}

/** Stored floats, or whole numbers, as f32. */
const asF32 =
  (t: StoredTensor): Decode<Float32Array> =>
  (bytes) =>
    t.negated ? decodeF32(t.dtype, bytes).map((value) => -value) : decodeF32(t.dtype, bytes);

/** Stored elements as they are. */
const asWords =
  (t: StoredTensor): Decode<Words> =>
  (bytes) =>
    wordsOf(t.dtype, t.negated ? negated(t.dtype, bytes) : bytes);

/** Fills `out` with the row-major elements of the view from `first` on, reading storage in ascending windows. */
async function gather<T extends Decoded>(t: StoredTensor, dims: Dims, first: number, out: T, decode: Decode<T>) {
  const stride = dims.strides[dims.strides.length - 1];
  /** How many of a run's elements lie before storage element `limit`. */
  const before = (limit: number, offset: number, count: number) =>
    stride === 0 ? (offset < limit ? count : 0) : Math.min(count, Math.max(0, Math.ceil((limit - offset) / stride)));
  let start = Infinity;
  forEachRow(dims, first, out.length, (offset) => (start = Math.min(start, offset)));
  while (start < Infinity) {
    // What the view needs of [start, start + GATHER), and the first element it needs beyond.
    const limit = start + GATHER;
    let stop = start;
    let next = Infinity;
    forEachRow(dims, first, out.length, (offset, count) => {
      const n = before(limit, offset, count);
      if (n > 0) stop = Math.max(stop, offset + (n - 1) * stride + 1);
      if (n < count) next = Math.min(next, offset + n * stride);
    });
    const window = decode(await readElements(t, start, stop - start));
    forEachRow(dims, first, out.length, (offset, count, position) => {
      const end = before(limit, offset, count);
      for (let i = before(start, offset, count); i < end; i++)
        (out as Float32Array)[position + i] = (window as Float32Array)[offset + i * stride - start];
    });
    start = next;
  }
}

/** Elements from `first` on up to `end`. */
interface Range {
  readonly first: number;
  readonly end: number;
}

async function* stream<T extends Decoded>(
  t: StoredTensor,
  { first, end }: Range,
  chunk: number,
  decode: Decode<T>,
  allocate: (count: number) => T,
): AsyncGenerator<T> {
  if (first === end) return;
  const dims = dimsOf(t);
  if (isContiguous(dims)) {
    for (let at = first; at < end; at += chunk) {
      yield decode(await readElements(t, at, Math.min(chunk, end - at)), at);
    }
    return;
  }
  for (let at = first; at < end; at += GATHER) {
    const block = allocate(Math.min(GATHER, end - at));
    await gather(t, dims, at, block, decode);
    for (let i = 0; i < block.length; i += chunk) yield block.slice(i, i + chunk) as T;
  }
}

const dimsOf = (t: StoredTensor): Dims => collapse(t.shape, t.strides ?? rowMajorStrides(t.shape));

const all = (t: StoredTensor): Range => ({ first: 0, end: elementCount(t.shape) });

/** See {@link TensorFile}. Closing it closes the source it was opened on. */
export class StoredTensorFile implements TensorFile {
  readonly tensors: Map<string, TensorInfo>;
  config?: TensorFile['config'];

  constructor(
    private readonly file: ByteSource,
    private readonly stored: Map<string, StoredTensor>,
    readonly metadata: Record<string, string>,
    readonly unread: ReadonlyMap<string, string> = new Map(),
  ) {
    this.tensors = new Map();
    for (const [name, t] of stored) this.tensors.set(name, { name, dtype: t.dtype, shape: [...t.shape] });
  }

  get name(): string {
    return this.file.name;
  }

  async *readF32Chunks(name: string, chunkElements = DEFAULT_CHUNK): AsyncGenerator<Float32Array> {
    if (!Number.isSafeInteger(chunkElements) || chunkElements < 1) {
      throw new RuntimeError({
        code: 'bad-argument',
        what: `chunkElements is ${chunkElements}`,
        fix: 'pass 1 or more',
      });
    }
    const t = this.find(name);
    yield* stream(t, all(t), Math.min(chunkElements, GATHER), asF32(t), (n) => new Float32Array(n));
  }

  async readF32Range(name: string, first: number, count: number): Promise<Float32Array> {
    const t = this.find(name);
    checkElements(this.name, name, elementCount(t.shape), first, count);
    const decode = asF32(t);
    const dims = dimsOf(t);
    if (isContiguous(dims)) return decode(await readElements(t, first, count));
    const out = new Float32Array(count);
    await gather(t, dims, first, out, decode);
    return out;
  }

  async readF32(name: string): Promise<Float32Array> {
    const out = new Float32Array(elementCount(this.find(name).shape));
    let at = 0;
    for await (const chunk of this.readF32Chunks(name)) {
      out.set(chunk, at);
      at += chunk.length;
    }
    return out;
  }

  async readI32(name: string): Promise<Int32Array> {
    const t = this.find(name);
    const where = `${this.name}: ${quote(name)}`;
    const out = new Int32Array(elementCount(t.shape));
    const decode: Decode<Int32Array> = (bytes, first) => {
      const values = decodeI32(t.dtype, bytes, where, first);
      return t.negated ? values.map((value) => -value) : values;
    };
    let at = 0;
    for await (const chunk of stream(t, all(t), DEFAULT_CHUNK, decode, (n) => new Int32Array(n))) {
      out.set(chunk, at);
      at += chunk.length;
    }
    return out;
  }

  async *readRaw(name: string, first = 0, count?: number): AsyncGenerator<Uint8Array> {
    const t = this.find(name);
    const total = elementCount(t.shape);
    const end = count === undefined ? total : first + count;
    checkElements(this.name, name, total, first, end - first);
    const allocate = (n: number) => wordsOf(t.dtype, new Uint8Array(n * DTYPE_BYTES[t.dtype]));
    for await (const { buffer, byteOffset, byteLength } of stream(
      t,
      { first, end },
      DEFAULT_CHUNK,
      asWords(t),
      allocate,
    ))
      yield new Uint8Array(buffer, byteOffset, byteLength);
  }

  async close(): Promise<void> {
    await this.file.close();
  }

  private find(name: string): StoredTensor {
    const t = this.stored.get(name);
    if (t) return t;
    const unread = this.unread.get(name);
    if (unread !== undefined) throw unreadError(this.name, name, unread);
    throw new RuntimeError({
      code: 'not-found',
      where: this.name,
      what: `there is no tensor ${quote(name)}`,
      why: `the file holds ${this.stored.size} tensors, such as ${[...this.stored.keys()]
        .slice(0, 3)
        .map((n) => quote(n))
        .join(', ')}`,
      fix: 'check the name',
    });
  }
}
