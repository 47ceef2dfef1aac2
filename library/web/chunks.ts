/** Bytes as files that a page downloads: named by their digest, each small enough that a broken connection costs little. */
import { deflateSync } from 'node:zlib';
import { sha256 } from '../../compiler/emit/digest.ts';
import type { StoredFile } from '../../runtime/web/model-file.ts';

/** Of a file before it is compressed: large enough for few requests. */
export const CHUNK_BYTES = 16 * 2 ** 20;

/** Where a file is until all are there. */
export type Keep<Kept> = (bytes: Uint8Array) => Kept;

export interface ChunkOptions {
  readonly folder: 'weights' | 'data';
  /** Pixels and labels become a fraction of what they are, weights do not. */
  readonly compress?: boolean;
}

/** Bytes one behind the other, in chunks. */
export class ChunkWriter<Kept> {
  readonly files = new Map<string, Kept>();
  /** In order; equal ones are one file. */
  readonly #chunks: StoredFile[] = [];
  readonly #open = new Uint8Array(CHUNK_BYTES);
  #used = 0;
  bytes = 0;

  constructor(
    private readonly keep: Keep<Kept>,
    private readonly options: ChunkOptions,
  ) {}

  add(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length;) {
      const part = bytes.subarray(at, at + CHUNK_BYTES - this.#used);
      this.#open.set(part, this.#used);
      this.#used += part.length;
      at += part.length;
      if (this.#used === CHUNK_BYTES) this.#close();
    }
    this.bytes += bytes.length;
  }

  done(): readonly StoredFile[] {
    if (this.#used) this.#close();
    return this.#chunks;
  }

  #close(): void {
    const { folder, compress } = this.options;
    const whole = this.#open.subarray(0, this.#used);
    const bytes = compress ? Uint8Array.from(deflateSync(whole)) : whole.slice();
    const digest = sha256(bytes);
    const file = `${folder}/${digest.slice(0, 32)}.bin`;
    if (!this.files.has(file)) this.files.set(file, this.keep(bytes));
    const unpacked = compress ? { unpacked: whole.length } : {};
    this.#chunks.push({ file, bytes: bytes.length, sha256: digest, ...unpacked });
    this.#used = 0;
  }
}
