/**
 * What a checkpoint is read from (random-access bytes) and what it is read as (named tensors). Sizes and offsets are
 * plain numbers, exact to 2^53; no interface here asks for a whole file in memory.
 */
import { quote, RuntimeError } from '../error.ts';
import type { DType } from './dtype.ts';

/** Random-access bytes: a file, an HTTP range reader, an ArrayBuffer. */
export interface ByteSource {
  /** What to call it in errors: a path or a URL. */
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  /**
   * Reads exactly `length` bytes at `offset` into a buffer that the caller owns.
   * @throws RuntimeError `truncated` when the range leaves the source, `io` when the medium fails.
   */
  read(offset: number, length: number): Promise<Uint8Array>;
  /** Gives back what it holds; nothing is read afterwards. */
  close(): Promise<void>;
}

/** One tensor's name, element type and row-major shape (`[]` is a scalar). */
export interface TensorInfo {
  name: string;
  dtype: DType;
  shape: number[];
}

/** The error for a tensor that cannot be read. */
export function unreadError(where: string, name: string, what: string): RuntimeError {
  const fix = 'convert it to float32 or float16 with the tool that wrote it, or leave it out of the file';
  return new RuntimeError({ code: 'unsupported', where: `${where}: ${quote(name)}`, what: `${what} is not read`, fix });
}

/** A checkpoint opened for reading. Nothing but its directory is in memory. */
export interface TensorFile {
  /** What to call it in errors: its path. */
  readonly name: string;
  /** What can be read, by name. */
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** Tensors that are in the file but cannot be read, each with what it is: `F8_E4M3`, `a sparse tensor`. */
  readonly unread?: ReadonlyMap<string, string>;
  /** Free text stored with the tensors (safetensors `__metadata__`; scalars beside the tensors in a `.pt`). */
  readonly metadata: Record<string, string>;
  /** The `config.json` that lies beside it, where it was given as a folder. */
  config?: ReadonlyMap<string, unknown>;
  /** Of a view of another file: the names there of the tensors that make one of the view's. */
  originsOf?(name: string): readonly string[];
  /**
   * The tensor's values as f32 in row-major order, in chunks of at most `chunkElements` (default 1 Mi elements = 4 MiB).
   * Each chunk is the caller's to keep. An empty tensor yields nothing.
   * @throws RuntimeError `not-found` for an unknown name, `truncated`/`io` while reading.
   */
  readF32Chunks(name: string, chunkElements?: number): AsyncIterable<Float32Array>;
  /**
   * `count` elements from element `first` on, row-major, as f32: one row of a tensor larger than memory.
   * @throws RuntimeError `bad-argument` when they are not all in the tensor.
   */
  readF32Range(name: string, first: number, count: number): Promise<Float32Array>;
  /** The whole tensor as f32, row-major. */
  readF32(name: string): Promise<Float32Array>;
  /**
   * The whole tensor as i32, row-major.
   * @throws RuntimeError `out-of-range` for a fraction, or a number that does not fit.
   */
  readI32(name: string): Promise<Int32Array>;
  /**
   * The bytes of `count` elements from element `first` on (all unless told), little-endian and row-major, of the tensor's
   * own type: nothing is converted. In chunks of whole elements, each the caller's to keep.
   * @throws RuntimeError `bad-argument` when they are not all in the tensor.
   */
  readRaw(name: string, first?: number, count?: number): AsyncIterable<Uint8Array>;
  close(): Promise<void>;
}

/** Throws unless elements `first` … `first + count − 1` are in a tensor of `total`. */
export function checkElements(where: string, name: string, total: number, first: number, count: number): void {
  const valid = Number.isSafeInteger(first) && Number.isSafeInteger(count) && first >= 0 && count >= 0;
  if (valid && first + count <= total) return;
  throw new RuntimeError({
    code: 'bad-argument',
    where: `${where}: ${quote(name)}`,
    what: `elements ${first} to ${first + count} were asked for`,
    why: `it has ${total}`,
  });
}

/** Throws unless `[offset, offset + length)` lies in the source. Every ByteSource calls it first. */
export function checkRange(name: string, size: number, offset: number, length: number): void {
  const valid = Number.isSafeInteger(offset) && Number.isSafeInteger(length) && offset >= 0 && length >= 0;
  if (valid && offset + length <= size) return;
  throw new RuntimeError({
    code: 'truncated',
    where: name,
    what: 'the file ends too early',
    why: `bytes ${offset}..${offset + length} are needed, but it has ${size} bytes`,
    fix: 'the file is damaged or was not copied completely: download or write it again',
  });
}

/** A ByteSource over bytes in memory. */
export class MemorySource implements ByteSource {
  readonly size: number;

  constructor(
    readonly name: string,
    private readonly bytes: Uint8Array,
  ) {
    this.size = bytes.length;
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    checkRange(this.name, this.size, offset, length);
    // slice.call and not .slice(): a Node Buffer's own slice() would hand out a view of the file.
    return Uint8Array.prototype.slice.call(this.bytes, offset, offset + length);
  }

  async close(): Promise<void> {}
}
