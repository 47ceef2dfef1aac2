/**
 * Files, the Node side of the checkpoint readers and writers: random-access reading, and writing that leaves either
 * the whole new file or nothing. The only place in the runtime that opens a path.
 */
import { open, realpath, rename, stat } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { RuntimeError } from '../error.ts';
import { checkRange } from '../checkpoint/source.ts';
import type { ByteSource } from '../checkpoint/source.ts';
import { discard, temporaryIn } from './temporary.ts';

const REASONS: Record<string, [why: string, fix: string]> = {
  ENOENT: ['no such file or folder', 'check the path'],
  ENOTDIR: ['a part of the path is a file, not a folder', 'check the path'],
  EACCES: ['permission denied', 'check who owns the file and its folder'],
  EPERM: ['the operation is not permitted', 'check who owns the file and its folder'],
  EISDIR: ['it is a folder', 'give the path of a file'],
  ENOSPC: ['the disk is full', 'free some space or write to another disk'],
  EDQUOT: ['the disk quota is used up', 'free some space or write to another disk'],
  EROFS: ['the file system is read-only', 'write to another folder'],
  EMFILE: ['too many files are open', 'close some, or raise the limit (ulimit -n)'],
  ENAMETOOLONG: ['the name is too long', 'choose a shorter name'],
  EFBIG: ['the file is larger than the file system allows', 'write to another disk'],
};

function ioError(
  path: string,
  what: string,
  error: unknown,
  fixes: Readonly<Record<string, string>> = {},
): RuntimeError {
  if (error instanceof RuntimeError) return error;
  const code = (error as NodeJS.ErrnoException)?.code ?? '';
  const [why, fix] = REASONS[code] ?? [
    error instanceof Error ? error.message : String(error),
    'check the path and disk',
  ];
  const told = { what, why: code ? `${why} (${code})` : why, fix: fixes[code] ?? fix };
  return new RuntimeError({ code: 'io', where: path, ...told, cause: error });
}

class FileSource implements ByteSource {
  constructor(
    readonly name: string,
    readonly size: number,
    private readonly handle: FileHandle,
  ) {}

  async read(offset: number, length: number): Promise<Uint8Array> {
    checkRange(this.name, this.size, offset, length);
    const bytes = new Uint8Array(length);
    // One read call may return less than it was asked for, and Linux caps it just below 2 GiB.
    for (let done = 0; done < length;) {
      let bytesRead: number;
      try {
        ({ bytesRead } = await this.handle.read(bytes, done, Math.min(length - done, 2 ** 30), offset + done));
      } catch (error) {
        throw ioError(this.name, 'cannot read the file', error);
      }
      // The file was cut while it was open: the size taken at opening no longer holds.
      if (bytesRead === 0) checkRange(this.name, offset + done, offset, length);
      done += bytesRead;
    }
    return bytes;
  }

  async close(): Promise<void> {
    await this.handle.close();
  }
}

/**
 * Opens a file for random-access reading.
 * @throws RuntimeError `io` when it is missing, unreadable or not a regular file.
 */
export async function openFile(path: string): Promise<ByteSource> {
  let handle: FileHandle | undefined;
  try {
    // Asked before opening: opening a FIFO would wait for its writer for ever.
    const info = await stat(path);
    if (!info.isFile())
      throw Object.assign(new Error('it is not a regular file'), info.isDirectory() && { code: 'EISDIR' });
    handle = await open(path, 'r');
    return new FileSource(path, (await handle.stat()).size, handle);
  } catch (error) {
    await handle?.close();
    throw ioError(path, 'cannot open the file', error);
  }
}

/** Appends bytes to the file being written. */
export type Write = (bytes: Uint8Array) => Promise<void>;

/** The path to replace: what a symbolic link points at, so that the link itself survives. */
async function resolveTarget(path: string): Promise<string> {
  let target: string;
  try {
    target = await realpath(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return path;
    throw error;
  }
  const info = await stat(target);
  if (info.isDirectory()) throw Object.assign(new Error('it is a folder'), { code: 'EISDIR' });
  // Renaming over /dev/null or a socket would replace it with a plain file.
  if (!info.isFile()) throw new Error('it exists and is not a regular file');
  return target;
}

/**
 * Writes a file so that `path` holds either everything `body` wrote or what it held before: the bytes go to a temporary
 * file in the same folder, are flushed to the disk, and the file is renamed. The folder must exist.
 * @throws RuntimeError `io` for an unwritable path or a full disk; whatever `body` throws is passed on unchanged.
 */
export async function writeAtomically(path: string, body: (write: Write) => Promise<void>): Promise<void> {
  const failed = (error: unknown) =>
    ioError(path, 'cannot write the file', error, { ENOENT: 'create the folder first' });
  let target: string;
  let temporary: string;
  let handle: FileHandle;
  try {
    if (basename(path) === '') throw Object.assign(new Error(), { code: 'ENOENT' });
    target = await resolveTarget(path);
    temporary = temporaryIn(dirname(target), 'tmp');
  } catch (error) {
    throw failed(error);
  }
  try {
    handle = await open(temporary, 'wx');
  } catch (error) {
    discard(temporary);
    throw failed(error);
  }
  try {
    await body(async (bytes) => {
      try {
        await writeAll(handle, bytes);
      } catch (error) {
        throw failed(error);
      }
    });
    try {
      await handle.sync();
      await handle.close();
      await rename(temporary, target);
    } catch (error) {
      throw failed(error);
    }
  } catch (error) {
    await handle.close().catch(() => {});
    throw error;
  } finally {
    discard(temporary);
  }
  await syncFolder(dirname(target));
}

/** Makes the rename itself survive a power cut. Best effort: Windows cannot open a folder. */
async function syncFolder(folder: string): Promise<void> {
  try {
    const handle = await open(folder, 'r');
    await handle.sync().finally(() => handle.close());
  } catch {
    // The data is on the disk already; only the moment of the rename is less certain.
  }
}

/** Writes all of `bytes`, where a write may take a part of them: at byte `at` of the file, or where the last write ended. */
export async function writeAll(handle: FileHandle, bytes: Uint8Array, at?: number): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    const size = Math.min(bytes.length - done, 2 ** 30);
    done += (await handle.write(bytes, done, size, at === undefined ? null : at + done)).bytesWritten;
  }
}
