/**
 * A ZIP archive (ZIP64 included) as random-access entries: the container of `.pt` files. zip.js reads the directory and
 * inflates; stored entries, which is how torch.save writes tensors, are read in place at the offset their local header
 * gives, so a 10 GB archive costs a few kilobytes to open.
 */
import { Reader, ZipReader } from '@zip.js/zip.js';
import type { FileEntry } from '@zip.js/zip.js';
import { RuntimeError, quote } from '../error.ts';
import { crc32 } from './crc32.ts';
import { checkRange } from './source.ts';
import type { ByteSource } from './source.ts';

/** {model, ema, opt} of DiT-XL/2 has 1,460 entries. */
const MAX_ENTRIES = 100_000;
/** zip.js reads the whole directory at once; a crafted offset could make that the whole file. */
const MAX_DIRECTORY_BYTES = 64 * 2 ** 20;
/** A compressed entry is inflated into memory in one piece, so it may not be large. */
const MAX_INFLATED_BYTES = 2 ** 29;
const LOCAL_HEADER_BYTES = 30;
/** Bytes summed at a time. */
const SUM_CHUNK = 2 ** 22;
const STORED = 0;
const DEFLATED = 8;

const REWRITE = 'the file is damaged or was not copied completely: download or save it again';

function bad(where: string, what: string, why: string, fix = REWRITE, code = 'bad-format'): RuntimeError {
  return new RuntimeError({ code, where, what, why, fix });
}

class DirectoryReader extends Reader<ByteSource> {
  constructor(private readonly source: ByteSource) {
    super(source);
    this.size = source.size;
  }

  override async readUint8Array(index: number, length: number): Promise<Uint8Array> {
    // zip.js probes past the end and expects what there is.
    const start = Math.min(Math.max(index, 0), this.size);
    const count = Math.max(0, Math.min(length, this.size - start));
    if (count > MAX_DIRECTORY_BYTES) {
      const why = `it would take ${count} bytes, at most ${MAX_DIRECTORY_BYTES} are allowed`;
      throw bad(this.source.name, 'the ZIP directory is too large', why, undefined, 'limit');
    }
    return this.source.read(start, count);
  }
}

/** The entry inflated last, shared by an archive's entries: chunked reads of one tensor inflate it once. */
interface Inflated {
  entry?: ZipEntry;
  bytes?: Uint8Array;
}

/** One file of the archive. Its data is located on first use. */
export class ZipEntry implements ByteSource {
  readonly name: string;
  private located: Promise<number> | undefined;

  constructor(
    private readonly archive: ByteSource,
    private readonly entry: FileEntry,
    private readonly inflated: Inflated,
  ) {
    this.name = `${archive.name}: ${quote(entry.filename)}`;
  }

  /** Bytes, uncompressed. */
  get size(): number {
    return this.entry.uncompressedSize;
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    checkRange(this.name, this.size, offset, length);
    if (this.entry.compressionMethod === STORED) {
      this.located ??= this.locate();
      return this.archive.read((await this.located) + offset, length);
    }
    if (this.inflated.entry !== this) {
      this.inflated.bytes = undefined; // let go of the previous one before this one is made
      this.inflated.bytes = await this.inflate();
      this.inflated.entry = this;
    }
    return this.inflated.bytes!.slice(offset, offset + length);
  }

  /** The archive is closed by whoever opened it. */
  async close(): Promise<void> {}

  /** Where the stored bytes begin. The local header repeats the name, and pads with an extra field of its own. */
  private async locate(): Promise<number> {
    const { offset, rawFilename, compressedSize, uncompressedSize, encrypted } = this.entry;
    if (encrypted) throw bad(this.name, 'it is encrypted', 'encrypted archives are not read', undefined, 'unsupported');
    if (compressedSize !== uncompressedSize) {
      throw bad(this.name, 'its sizes disagree', `it is stored, but ${compressedSize} of ${uncompressedSize} bytes`);
    }
    const header = await this.archive.read(offset, LOCAL_HEADER_BYTES + rawFilename.length);
    const view = new DataView(header.buffer, header.byteOffset);
    const nameMatches = rawFilename.every((byte, i) => header[LOCAL_HEADER_BYTES + i] === byte);
    const lengthMatches = view.getUint16(26, true) === rawFilename.length;
    if (
      view.getUint32(0, true) !== 0x04034b50 ||
      !nameMatches ||
      !lengthMatches ||
      view.getUint16(8, true) !== STORED
    ) {
      throw bad(this.name, 'its local header is wrong', `the one at byte ${offset} is not this entry's`);
    }
    const start = offset + LOCAL_HEADER_BYTES + rawFilename.length + view.getUint16(28, true);
    checkRange(this.name, this.archive.size, start, uncompressedSize);
    await this.checkSum(start);
    return start;
  }

  /** One pass over the stored bytes before any is used; it costs less than reading them from a disk. */
  private async checkSum(start: number): Promise<void> {
    const { signature, uncompressedSize } = this.entry;
    if (!signature) return; // PyTorch can be told to write none
    let sum = 0;
    for (let at = 0; at < uncompressedSize; at += SUM_CHUNK)
      sum = crc32(await this.archive.read(start + at, Math.min(SUM_CHUNK, uncompressedSize - at)), sum);
    if (sum !== signature) throw this.damaged();
  }

  private damaged(): RuntimeError {
    return bad(this.name, 'its data is damaged', 'the checksum (CRC-32) is not that of the bytes');
  }

  private async inflate(): Promise<Uint8Array> {
    const { compressionMethod, uncompressedSize, encrypted } = this.entry;
    const fix = 'unzip it and zip it again without compression (zip -0 -r), or save it again with torch.save';
    if (compressionMethod !== DEFLATED || encrypted) {
      const why = encrypted ? 'it is encrypted' : `it uses method ${compressionMethod}`;
      throw bad(this.name, 'it cannot be read', why, fix, 'unsupported');
    }
    if (uncompressedSize > MAX_INFLATED_BYTES) {
      const why = `${uncompressedSize} bytes would have to be in memory, at most ${MAX_INFLATED_BYTES} are allowed`;
      throw bad(this.name, 'it is compressed and too large', why, fix, 'limit');
    }
    const chunks: Uint8Array[] = [];
    let total = 0;
    const sink = new WritableStream<Uint8Array>({
      write(chunk) {
        total += chunk.length;
        // A bomb declares less than it inflates to; stop it before it is in memory.
        if (total > uncompressedSize)
          throw new Error(`it inflates to more than the ${uncompressedSize} bytes declared`);
        chunks.push(chunk);
      },
    });
    try {
      await this.entry.getData(sink, { useWebWorkers: false });
      if (total !== uncompressedSize) throw new Error(`it inflates to ${total} of ${uncompressedSize} bytes`);
    } catch (error) {
      throw wrap(this.name, 'it cannot be inflated', error);
    }
    const bytes = new Uint8Array(total);
    let at = 0;
    for (const chunk of chunks) {
      bytes.set(chunk, at);
      at += chunk.length;
    }
    if (this.entry.signature && crc32(bytes) !== this.entry.signature) throw this.damaged();
    return bytes;
  }
}

/** zip.js and its streams throw plain Errors (and anything else, on hostile input): all of them mean a bad archive. */
function wrap(where: string, what: string, error: unknown): RuntimeError {
  if (error instanceof RuntimeError) return error;
  const why = error instanceof Error ? error.message : String(error);
  return new RuntimeError({ code: 'bad-format', where, what, why, fix: REWRITE, cause: error });
}

/**
 * The archive's files by name; folders are left out.
 * @throws RuntimeError when the directory is damaged, names repeat (readers would disagree on which counts), or there
 * are too many entries.
 */
export async function openZip(source: ByteSource): Promise<Map<string, ZipEntry>> {
  const entries = new Map<string, ZipEntry>();
  const inflated: Inflated = {};
  let count = 0;
  try {
    const reader = new ZipReader(new DirectoryReader(source), { useWebWorkers: false });
    for await (const entry of reader.getEntriesGenerator()) {
      if (++count > MAX_ENTRIES) {
        throw bad(
          source.name,
          'the ZIP archive has too many entries',
          `at most ${MAX_ENTRIES} are allowed`,
          REWRITE,
          'limit',
        );
      }
      if (entry.directory) continue;
      if (entries.has(entry.filename)) {
        throw bad(source.name, `the ZIP entry ${quote(entry.filename)} appears twice`, 'names must be unique');
      }
      entries.set(entry.filename, new ZipEntry(source, entry, inflated));
    }
  } catch (error) {
    throw wrap(source.name, 'the ZIP directory cannot be read', error);
  }
  return entries;
}
