/** Writes a ZIP archive of stored files: what `.npz` is. The bytes depend on the files alone: no clock is read. */
import { Uint8ArrayReader, ZipWriter } from '@zip.js/zip.js';

export interface ZipFile {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** MS-DOS time begins here. */
const EPOCH = new Date(1980, 0, 1);

export async function writeZip(write: (bytes: Uint8Array) => Promise<void>, files: readonly ZipFile[]): Promise<void> {
  const sink = new WritableStream<Uint8Array>({ write });
  const options = { level: 0, lastModDate: EPOCH, extendedTimestamp: false, useWebWorkers: false } as const;
  const zip = new ZipWriter(sink, options);
  for (const { name, bytes } of files) await zip.add(name, new Uint8ArrayReader(bytes));
  await zip.close();
}
