/** Output paths, checked before the work whose result they are to hold. */
import { existsSync, readdirSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname, isAbsolute, join, relative, resolve, sep } from 'node:path';
import { DitcError } from '../compiler/ir/error.ts';
import { UsageError } from './errors.ts';
import { fileError } from '../library/file-error.ts';
import { checkWritable } from '../library/writable.ts';

export { checkWritable };

/** Throws unless a file can be written at `path`; its folder must exist. */
export function checkOutputFile(path: string): void {
  try {
    const folder = dirname(resolve(path));
    if (!existsSync(folder)) throw noFolder(path, dirname(path));
    if (existsSync(path) && statSync(path).isDirectory()) throw Object.assign(new Error(), { code: 'EISDIR' });
    checkWritable(folder);
  } catch (error) {
    throw fileError(path, 'cannot write the file', error);
  }
}

const noFolder = (where: string, folder: string): DitcError =>
  new DitcError({
    code: 'io',
    where,
    what: 'cannot write the file',
    why: `there is no folder ${folder}`,
    fix: `create it: mkdir -p ${folder}`,
  });

/** Throws unless files can be written into the folder `path`, which may be new. */
export function checkOutputFolder(path: string): void {
  try {
    checkWritable(resolve(path));
  } catch (error) {
    throw fileError(path, 'cannot write into the folder', error);
  }
}

/** Throws unless a new folder can be made at `path`; an empty one may be there. */
export function checkNewFolder(path: string): void {
  try {
    checkWritable(resolve(path));
    if (!existsSync(path) || (statSync(path).isDirectory() && !readdirSync(path).length)) return;
  } catch (error) {
    throw fileError(path, 'cannot write the folder', error);
  }
  throw new UsageError({
    what: `${path} is there`,
    why: 'a folder is written anew',
    fix: 'give another, or remove it',
  });
}

/**
 * Throws when what a command writes would become part of what it reads: `out` is the data or lies in it, or the data lies
 * where one of the files and folders `written` in `out` goes.
 */
export function checkApart(out: string, data: string, written: readonly string[] = []): void {
  const source = truePath(data);
  const target = truePath(out);
  const fix = 'give another --out';
  if (isIn(target, source)) {
    const why = 'what is written there would be taken for data the next time';
    throw new UsageError({ what: `--out: ${out} ${target === source ? 'is' : 'lies in'} the data`, why, fix });
  }
  const over = written.find((name) => isIn(source, join(target, name)));
  if (over === undefined) return;
  throw new UsageError({ what: `--out: ${out} holds the data`, why: `${join(out, over)} is written over`, fix });
}

/** Without symbolic links, also of what is not there yet. */
function truePath(path: string): string {
  const full = resolve(path);
  if (existsSync(full) || dirname(full) === full) return realpathSync(full);
  return join(truePath(dirname(full)), basename(full));
}

function isIn(path: string, folder: string): boolean {
  const way = relative(folder, path);
  return way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way);
}
