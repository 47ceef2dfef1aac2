/** Bytes on their way into files, and out of them onto the GPU. */
import { describe, expect, it } from 'vitest';
import type { TensorSpec } from '../../compiler/emit/artefact.ts';
import { CHUNK_BYTES, ChunkWriter, type ChunkOptions } from '../../library/web/chunks.ts';
import { Uploader } from '../../runtime/transfer.ts';
import { ChunkReader } from '../../runtime/web/tensors.ts';
import { unpack } from '../../runtime/web/unpack.ts';

const MiB = 2 ** 20;

/** Files of these pieces, each as `keep` has it. */
function written<Kept>(
  pieces: Iterable<Uint8Array>,
  keep: (bytes: Uint8Array) => Kept,
  options: ChunkOptions = { folder: 'weights' },
) {
  const writer = new ChunkWriter(keep, options);
  for (const piece of pieces) writer.add(piece);
  return { chunks: writer.done(), files: writer.files };
}

async function* inTurn<T>(values: readonly T[]) {
  for (const value of values) yield await Promise.resolve(value);
}

describe('chunks', () => {
  it('are cut at 16 MiB, whole words long, equal ones one file', () => {
    const pieces = Array.from({ length: 9 }, () => new Uint8Array(CHUNK_BYTES / 4));
    const { files, chunks } = written([...pieces, Uint8Array.of(1, 2, 3, 4)], (bytes) => bytes.length);
    expect(chunks.map(({ bytes }) => bytes)).toEqual([CHUNK_BYTES, CHUNK_BYTES, CHUNK_BYTES / 4 + 4]);
    expect([...files.values()]).toEqual([CHUNK_BYTES, CHUNK_BYTES / 4 + 4]);
  });

  it('are given away one by one, before more is read', () => {
    const order: string[] = [];
    const pieces = function* () {
      for (const fill of [1, 2, 3]) {
        order.push('read');
        yield new Uint8Array(CHUNK_BYTES).fill(fill);
      }
    };
    written(pieces(), () => void order.push('given'));
    expect(order).toEqual(['read', 'given', 'read', 'given', 'read', 'given']);
  });

  it('of pixels are a fraction of them, and become them again', async () => {
    // A line of a few pixels on black, as digits are.
    const pixels = new Uint8Array(CHUNK_BYTES + 1000).map((_, i) => (i % 28 < 3 ? (i * 37) % 256 : 0));
    const { files, chunks } = written([pixels], (bytes) => bytes, { folder: 'data', compress: true });
    expect(chunks.map(({ unpacked }) => unpacked)).toEqual([CHUNK_BYTES, 1000]);
    expect(chunks[0].bytes).toBeLessThan(CHUNK_BYTES / 4);
    const parts = chunks.map((chunk) => unpack(Uint8Array.from(files.get(chunk.file)!), chunk));
    expect(Buffer.compare(Buffer.concat(await Promise.all(parts)), pixels)).toBe(0);
  });

  it('bring f16 tensors of odd lengths', async () => {
    const bytes = Uint8Array.from([0x00, 0x3c, 0x00, 0x40, 0x00, 0x42, 0, 0, 0x00, 0x44, 0, 0]);
    const reader = new ChunkReader(inTurn([bytes.slice(0, 4), bytes.slice(4)]));
    const read = async (length: number) => {
      const parts: number[] = [];
      for await (const part of reader.values({ name: 'w', dtype: 'f16', shape: [length], offset: 0 }))
        parts.push(...part);
      return parts;
    };
    expect(await read(3)).toEqual([1, 2, 3]);
    expect(await read(1)).toEqual([4]);
  });

  it.each(['f32', 'f16'] as const)(
    'go to the GPU in pieces of at most 4 MiB: an %s tensor larger than two',
    async (dtype) => {
      const width = dtype === 'f16' ? 2 : 4;
      const spec: TensorSpec = { name: 'w', dtype, shape: [(2 * CHUNK_BYTES + 8) / width] };
      // Every value a half: what comes out of f16 is what went in.
      const all = new Uint8Array(2 * CHUNK_BYTES + 8).map((_, i) => (i % width === width - 1 ? 0x38 : 0));
      const chunks = [0, CHUNK_BYTES, 2 * CHUNK_BYTES].map((at) => all.slice(at, at + CHUNK_BYTES));
      const onGpu = new Uint8Array(all.length);
      let [largest, queued, most, used] = [0, 0, 0, 0];
      const queue = {
        writeBuffer(_: GPUBuffer, offset: number, { buffer, byteOffset, byteLength }: ArrayBufferView) {
          onGpu.set(new Uint8Array(buffer, byteOffset, byteLength), offset);
          largest = Math.max(largest, byteLength);
          most = Math.max(most, (queued += byteLength));
        },
        submit() {},
        async onSubmittedWorkDone() {
          queued = 0;
        },
      };
      const uploader = new Uploader(queue as unknown as GPUQueue);
      const reader = new ChunkReader(inTurn(chunks), (bytes) => (used += bytes));
      await uploader.stream(spec, {} as GPUBuffer, 0, reader.values({ ...spec, offset: 0 }));
      expect(Buffer.compare(onGpu, all)).toBe(0);
      expect(used).toBe(all.length);
      expect(largest).toBeLessThanOrEqual(4 * MiB);
      expect(most).toBeLessThan(all.length);
    },
  );
});
