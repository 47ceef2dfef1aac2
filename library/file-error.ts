/** What the file system refuses, in words. */
import { DitcError } from '../compiler/ir/error.ts';

const REASONS: Record<string, [why: string, fix: string]> = {
  ENOENT: ['there is no such file or folder', 'check the path'],
  ENOTDIR: ['a part of the path is a file, not a folder', 'check the path'],
  EACCES: ['permission denied', 'check who owns it, or choose another path'],
  EPERM: ['the operation is not permitted', 'check who owns it, or choose another path'],
  EEXIST: ['a file is in the way', 'choose another path'],
  EISDIR: ['it is a folder', 'give the path of a file'],
  ENOSPC: ['the disk is full', 'free some space or write to another disk'],
  EROFS: ['the file system is read-only', 'write to another folder'],
  EBUSY: ['it is in use', 'choose another path'],
  ENAMETOOLONG: ['the name is too long', 'choose a shorter name'],
};

/** An error of the file system, in words. */
export function fileError(path: string, what: string, error: unknown): DitcError {
  if (error instanceof DitcError) return error;
  const { code = '', message } = error as NodeJS.ErrnoException;
  const [why, fix] = REASONS[code] ?? [message, 'check the path and the disk'];
  return new DitcError({ code: 'io', where: path, what, why: `${why} (${code})`, fix }, { cause: error });
}
