/** Builders of hand-made files for the tests: ZIP archives with lies in them, and files with gigabytes of nothing. */
import { checkRange } from '../../../runtime/checkpoint/source.ts';
import type { ByteSource } from '../../../runtime/checkpoint/source.ts';

export const ascii = (text: string) => Uint8Array.from(text, (c) => c.charCodeAt(0));

export function concat(...parts: Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** `bits` 8, 16, 32 or 64 each, little-endian. */
export function little(...fields: [bits: number, value: number][]): Uint8Array {
  return concat(
    ...fields.map(([bits, value]) => {
      const out = new Uint8Array(8);
      new DataView(out.buffer).setBigUint64(0, BigInt(value), true);
      return out.slice(0, bits / 8);
    }),
  );
}

/** Bytes at offsets, zeros between: a file of any size in a few bytes of memory. Counts what is read. */
export class SparseSource implements ByteSource {
  bytesRead = 0;
  constructor(
    readonly name: string,
    readonly size: number,
    private readonly pieces: [offset: number, bytes: Uint8Array][],
  ) {}

  async read(offset: number, length: number): Promise<Uint8Array> {
    checkRange(this.name, this.size, offset, length);
    this.bytesRead += length;
    const out = new Uint8Array(length);
    for (const [start, bytes] of this.pieces) {
      const from = Math.max(start, offset);
      const to = Math.min(start + bytes.length, offset + length);
      if (from < to) out.set(bytes.subarray(from - start, to - start), from - offset);
    }
    return out;
  }

  async close(): Promise<void> {}
}

export interface ZipPart {
  name: string;
  bytes: Uint8Array;
  /** Where the local header goes, when not right after the previous entry. */
  offset?: number;
  /** Lies for the directory. */
  method?: number;
  uncompressedSize?: number;
  compressedSize?: number;
}

/** A ZIP whose sizes and offsets are all in ZIP64 fields, with the 32-bit ones filled with ones. */
export function buildZip64(parts: ZipPart[], name = 'built.pt'): SparseSource {
  const pieces: [number, Uint8Array][] = [];
  const directory: Uint8Array[] = [];
  let at = 0;
  for (const { name, bytes, offset, method = 0, uncompressedSize, compressedSize } of parts) {
    at = offset ?? at;
    const path = new TextEncoder().encode(name);
    const sizes: [number, number][] = [
      [64, uncompressedSize ?? bytes.length],
      [64, compressedSize ?? bytes.length],
    ];
    const common = little([16, 45], [16, 0x800], [16, method], [32, 0], [32, 0], [32, 2 ** 32 - 1], [32, 2 ** 32 - 1]);
    const localExtra = little([16, 1], [16, 16], ...sizes);
    const local = [
      little([32, 0x04034b50]),
      common,
      little([16, path.length], [16, localExtra.length]),
      path,
      localExtra,
    ];
    const extra = little([16, 1], [16, 24], ...sizes, [64, at]);
    directory.push(
      little([32, 0x02014b50], [16, 45]),
      common,
      little([16, path.length], [16, extra.length], [16, 0], [16, 0], [16, 0], [32, 0], [32, 2 ** 32 - 1]),
      path,
      extra,
    );
    const record = concat(...local, bytes);
    pieces.push([at, record]);
    at += record.length;
  }
  const central = concat(...directory);
  const n = parts.length;
  const fields: [number, number][] = [
    [64, n],
    [64, n],
    [64, central.length],
    [64, at],
  ];
  const end = concat(
    central,
    little([32, 0x06064b50], [64, 44], [16, 45], [16, 45], [32, 0], [32, 0], ...fields),
    little([32, 0x07064b50], [32, 0], [64, at + central.length], [32, 1]),
    little([32, 0x06054b50], [16, 0], [16, 0], [16, 65535], [16, 65535], [32, 2 ** 32 - 1], [32, 2 ** 32 - 1], [16, 0]),
  );
  pieces.push([at, end]);
  return new SparseSource(name, at + end.length, pieces);
}

/** One f32 tensor `w` as torch.save pickles it. */
export function tensorPickle(t: {
  count: number;
  offset: number;
  shape: number[];
  strides: number[];
  type?: string;
}): Uint8Array {
  const text = (s: string) => concat(little([8, 0x58], [32, s.length]), ascii(s));
  const long = (n: number) => little([8, 0x8a], [8, 8], [64, n]);
  const tuple = (items: Uint8Array[]) => concat(ascii('('), ...items, ascii('t'));
  const storage = tuple([
    text('storage'),
    ascii(`ctorch\n${t.type ?? 'FloatStorage'}\n`),
    text('0'),
    text('cpu'),
    long(t.count),
  ]);
  const args = [concat(storage, ascii('Q')), long(t.offset), tuple(t.shape.map(long)), tuple(t.strides.map(long))];
  const rest = [ascii('\x89'), ascii('ccollections\nOrderedDict\n)R')];
  const tensor = concat(ascii('ctorch._utils\n_rebuild_tensor_v2\n'), tuple([...args, ...rest]), ascii('R'));
  return concat(ascii('\x80\x02}'), text('w'), tensor, ascii('s.'));
}
