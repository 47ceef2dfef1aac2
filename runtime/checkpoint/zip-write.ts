/**
 * Writes a ZIP archive of stored files: what `.npz` and `.pt` are. Files of any size pass through; the bytes depend on the files
 * alone: no clock is read.
 */
import { configure, ZipWriter } from '@zip.js/zip.js';

export interface ZipFile {
  readonly name: string;
  /** Bytes in all. */
  readonly size: number;
  /** The content, called once when the file's turn has come. */
  chunks(): AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
}

/** A file that is in memory. */
export const zipFile = (name: string, bytes: Uint8Array): ZipFile => ({
  name,
  size: bytes.length,
  chunks: () => [bytes],
});

/** MS-DOS time begins here. */
const EPOCH = new Date(1980, 0, 1);
/** Of a local header, before the name. */
const HEADER_BYTES = 30;
/** PyTorch's own extra field for padding. */
const PADDING = 0x4246;

/** `align`: each file's content begins at a multiple of so many bytes, with which a reader may map it. */
export async function writeZip(
  write: (bytes: Uint8Array) => Promise<void>,
  files: Iterable<ZipFile>,
  { align = 1 }: { readonly align?: number } = {},
): Promise<void> {
  configure({ chunkSize: 2 ** 20 });
  let at = 0;
  const sink = new WritableStream<Uint8Array>({
    async write(bytes) {
      await write(bytes);
      at += bytes.length;
    },
  });
  const options = { level: 0, lastModDate: EPOCH, extendedTimestamp: false, useWebWorkers: false } as const;
  const zip = new ZipWriter(sink, options);
  for (const file of files) {
    const begins = at + HEADER_BYTES + new TextEncoder().encode(file.name).length + 4;
    const padding = new Uint8Array((align - (begins % align)) % align);
    const extra = align > 1 ? { extraField: new Map([[PADDING, padding]]) } : {};
    await zip.add(file.name, { readable: streamOf(file), size: file.size }, extra);
  }
  await zip.close();
}

/** Chunk by chunk, as they are asked for. */
function streamOf(file: ZipFile): ReadableStream<Uint8Array> {
  let chunks: AsyncIterator<Uint8Array> | Iterator<Uint8Array> | undefined;
  const iterate = (): AsyncIterator<Uint8Array> | Iterator<Uint8Array> => {
    const all = file.chunks();
    return Symbol.asyncIterator in all ? all[Symbol.asyncIterator]() : all[Symbol.iterator]();
  };
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        chunks ??= iterate();
        const { done, value } = await chunks.next();
        if (done) controller.close();
        else controller.enqueue(value);
      },
    },
    { highWaterMark: 0 },
  );
}
