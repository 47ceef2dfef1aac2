/**
 * The pictures of a part, as bytes [n,H,W,C] in a `.npy` that grows batch by batch: `.part` until all are there, then renamed, and a
 * record with its SHA-256 beside it. A process that was killed leaves whole batches, from whose end the next goes on; what it had
 * written of one more is written anew.
 */
import { existsSync, mkdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { encodeNpyHeader } from '../../runtime/checkpoint/npy-header.ts';
import { lockFolder } from '../../runtime/node/lock.ts';
import { writeAll, writeAtomically } from '../../runtime/node/file.ts';
import { fileError } from '../../library/file-error.ts';
import { checkOutputFolder } from '../out-path.ts';
import type { Picture } from '../pictures.ts';
import { checkSameRun, filesOf, recordsIn, sha256Of, type RunRecord, type ShardRecord } from './record.ts';
import { rangeOf, type Shard } from './shard.ts';

export class ShardFile {
  readonly #files: ReturnType<typeof filesOf>;
  #record: ShardRecord | undefined;
  #handle: FileHandle | undefined;
  #unlock: (() => void) | undefined;
  /** Where the next picture goes, in bytes. */
  #at = 0;

  constructor(
    private readonly folder: string,
    private readonly shard: Shard,
  ) {
    checkOutputFolder(folder);
    this.#files = filesOf(folder, shard);
  }

  get path(): string {
    return this.#files.data;
  }

  /** Makes the file, or goes on with the one that is there; gives the pictures that are still to be drawn. */
  async begin(
    run: RunRecord,
    adapter: string,
  ): Promise<{ readonly first: number; readonly count: number; readonly done: number }> {
    const range = rangeOf(this.shard, run.num, run.batch);
    const record: ShardRecord = { format: 1, run, shard: { ...this.shard, ...range }, adapter };
    for (const { path, record: found } of recordsIn(this.folder)) checkSameRun(path, found, record, 'asked for');
    this.#record = record;
    const { data, record: whole, part, partRecord } = this.#files;
    try {
      mkdirSync(this.folder, { recursive: true });
      this.#unlock = lockFolder(
        this.folder,
        'ditc sample --shard',
        `.ditc-lock-${this.shard.index}-of-${this.shard.of}`,
      );
      // Renamed, and killed before its record was written: only that is left to do.
      if (existsSync(whole) || existsSync(data))
        return { first: range.first + range.count, count: 0, done: range.count };
      if (!existsSync(partRecord)) await writeJson(partRecord, record);
      const header = encodeNpyHeader('u8', [range.count, ...run.shape]);
      const batchBytes = run.batch * sizeOf(run);
      const held = Math.max(0, (statSync(part, { throwIfNoEntry: false })?.size ?? 0) - header.length);
      const total = range.count * sizeOf(run);
      const kept = held >= total ? total : Math.floor(held / batchBytes) * batchBytes;
      this.#handle = await open(part, existsSync(part) ? 'r+' : 'w+');
      await writeAll(this.#handle, header, 0);
      this.#at = header.length + kept;
      await this.#handle.truncate(this.#at);
      const done = kept / sizeOf(run);
      return { first: range.first + done, count: range.count - done, done };
    } catch (error) {
      throw fileError(part, 'cannot write the pictures', error);
    }
  }

  async add(pictures: readonly Picture[]): Promise<void> {
    try {
      const bytes = Buffer.concat(pictures.map(({ pixels }) => pixels));
      await writeAll(this.#handle!, bytes, this.#at);
      await this.#handle!.datasync();
      this.#at += bytes.length;
    } catch (error) {
      throw fileError(this.#files.part, 'cannot write the pictures', error);
    }
  }

  /** All pictures are there: the file gets its name, and then its record. */
  async end(): Promise<void> {
    const { data, record, part, partRecord } = this.#files;
    if (existsSync(record)) return;
    try {
      await this.#handle?.close();
      this.#handle = undefined;
      if (!existsSync(data)) renameSync(part, data);
      await writeJson(record, { ...this.#record!, sha256: await sha256Of(data) });
      rmSync(partRecord, { force: true });
    } catch (error) {
      throw fileError(data, 'cannot write the pictures', error);
    }
  }

  close(): void {
    void this.#handle?.close();
    this.#unlock?.();
  }
}

const sizeOf = ({ shape }: RunRecord): number => shape.reduce((a, b) => a * b);

const writeJson = (path: string, record: ShardRecord): Promise<void> =>
  writeAtomically(path, (write) => write(new TextEncoder().encode(`${JSON.stringify(record, null, 2)}\n`)));
