/**
 * Bytes kept between runs, by name. What is read is what was written, or nothing: each entry carries a digest of its name and its
 * content. Nothing here fails: where the folder cannot be read or written, nothing is kept. Processes may share a folder.
 */
import { createHash } from 'node:crypto';
import {
  closeSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { makeFolder } from './cache.ts';
import { discard, temporaryIn } from './temporary.ts';

/** Bytes that all entries together may take, unless told. */
const LIMIT = 512 * 2 ** 20;
/** The share of it that one entry may take. */
const LARGEST = 1 / 4;
const DIGEST_BYTES = 32;
const ENDING = '.kept';
/** An entry that is read counts as new again; not each time, for that is a write. */
const RENEWED_MS = 3600 * 1000;

export class Store {
  readonly folder: string;
  readonly #limit: number;

  constructor(folder: string, limit = LIMIT) {
    this.folder = folder;
    this.#limit = limit;
  }

  /** What was written under the name; undefined when there is nothing, or not what was written. */
  read(name: string): Uint8Array | undefined {
    const path = this.#pathOf(name);
    try {
      const entry = readFileSync(path);
      const content = entry.subarray(DIGEST_BYTES);
      if (!entry.subarray(0, DIGEST_BYTES).equals(digestOf(name, content))) return undefined;
      if (Date.now() - statSync(path).mtimeMs > RENEWED_MS) utimesSync(path, new Date(), new Date());
      return content;
    } catch {
      return undefined;
    }
  }

  /** Keeps content under the name, in the place of what was there; the entries longest unused go. */
  write(name: string, content: Uint8Array): void {
    if (content.length > this.#limit * LARGEST) return;
    let temporary: string | undefined;
    try {
      makeFolder(this.folder);
      temporary = temporaryIn(this.folder, 'tmp');
      writeWhole(temporary, [digestOf(name, content), content]);
      renameSync(temporary, this.#pathOf(name));
      this.#shrink();
    } catch {
      // A full disk, a folder that may not be written: it is made again the next time.
    } finally {
      if (temporary !== undefined) discard(temporary);
    }
  }

  #pathOf(name: string): string {
    return join(this.folder, createHash('sha256').update(name).digest('hex').slice(0, 40) + ENDING);
  }

  /** Removes the oldest entries, down to the limit. */
  #shrink(): void {
    const entries = readdirSync(this.folder)
      .filter((name) => name.endsWith(ENDING))
      .flatMap((name) => {
        const path = join(this.folder, name);
        const stat = statSync(path, { throwIfNoEntry: false });
        return stat ? [{ path, size: stat.size, at: stat.mtimeMs }] : [];
      })
      .sort((a, b) => b.at - a.at);
    let total = 0;
    for (const { path, size } of entries) if ((total += size) > this.#limit) rmSync(path, { force: true });
  }
}

const digestOf = (name: string, content: Uint8Array): Buffer =>
  createHash('sha256').update(`${name.length} ${name}`).update(content).digest();

function writeWhole(path: string, parts: readonly Uint8Array[]): void {
  const file = openSync(path, 'wx');
  try {
    for (const part of parts) for (let at = 0; at < part.length;) at += writeSync(file, part, at);
  } finally {
    closeSync(file);
  }
}
