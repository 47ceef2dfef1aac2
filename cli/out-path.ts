/** Output paths, checked before the work whose result they are to hold. */
import { accessSync, constants, existsSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { DitcError } from '../compiler/ir/error.ts';
import { fileError } from './errors.ts';

/** Throws the system's error unless files can be made in `folder`, or in the nearest ancestor that is there. */
export function checkWritable(folder: string): void {
  let existing = folder;
  while (!existsSync(existing) && dirname(existing) !== existing) existing = dirname(existing);
  if (!statSync(existing).isDirectory()) throw Object.assign(new Error(), { code: 'ENOTDIR' });
  accessSync(existing, constants.W_OK | constants.X_OK);
}

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
