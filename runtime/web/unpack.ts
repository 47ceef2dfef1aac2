/** Files that were built compressed. */
import type { StoredFile } from './model-file.ts';

type Bytes = Uint8Array<ArrayBuffer>;

/** What was built: the bytes as they are, or what they are when they are unpacked. They are whole: their digest says so. */
export async function unpack(bytes: Bytes, { unpacked }: StoredFile): Promise<Bytes> {
  if (unpacked === undefined) return bytes;
  const plain = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('deflate'));
  return new Uint8Array(await new Response(plain).arrayBuffer());
}
