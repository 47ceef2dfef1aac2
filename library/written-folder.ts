/**
 * Writes a folder of files (an artefact, a failed check) over what was written there the last time, and over nothing else:
 * what somebody put there stays, and where it is in the way, nothing is written. The files are made beside their places and
 * moved there when all of them are on the disk, the one that makes the folder whole at last.
 */
import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, realpathSync, renameSync } from 'node:fs';
import { rmdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { DitcError } from '../compiler/ir/error.ts';
import { lockFolder } from '../runtime/node/lock.ts';
import { discard, sweepTemporaries, temporariesIn, temporaryIn } from '../runtime/node/temporary.ts';
import { fileError } from './file-error.ts';
import { checkWritable } from './writable.ts';

export interface FolderKind {
  /** For errors: `cannot write the artefact`. */
  readonly name: string;
  /** The option that chooses another place. */
  readonly option: string;
  /** Files that it always has, the one that says that it is whole first. */
  readonly usual: readonly [whole: string, ...others: string[]];
  /** The files that were written together with those in `folder`. */
  listed(folder: string): readonly string[];
}

/** What is in a file that is on the disk already, in the same file system: it is moved to its place. */
export class OnDisk {
  constructor(readonly path: string) {}
}

export type Files = ReadonlyMap<string, string | Uint8Array | OnDisk>;

/**
 * Throws unless the files can be written at `path`, before the work of making them. Gives those that were written there
 * before, by a process that was killed meanwhile too: they are ours to replace.
 */
export function checkFolder(path: string, kind: FolderKind, names: Iterable<string> = kind.usual): ReadonlySet<string> {
  const what = `cannot write the ${kind.name} there`;
  try {
    checkWritable(resolve(path));
    const unfinished = temporariesIn(path).filter(({ ending }) => ending === 'new');
    const former = new Set([path, ...unfinished.map((left) => left.path)].flatMap((folder) => kind.listed(folder)));
    const foreign = [...names].filter((name) => !former.has(name) && isInTheWay(path, name));
    if (!foreign.length) return former;
    const shown = foreign.slice(0, 3).join(', ') + (foreign.length > 3 ? ', …' : '');
    const why = `it would write over what ditc did not write: ${shown}`;
    const fix = `choose another ${kind.option}, or move ${foreign.length > 1 ? 'them' : 'it'} away`;
    throw new DitcError({ code: 'io', where: path, what, why, fix });
  } catch (error) {
    throw fileError(path, what, error);
  }
}

/** Whether there is something at `name`, or a file where it needs a folder. */
function isInTheWay(folder: string, name: string): boolean {
  const above = dirname(name);
  const isFile = above !== '.' && statSync(join(folder, above), { throwIfNoEntry: false })?.isFile();
  return isFile || existsSync(join(folder, name));
}

/** Puts the files at `path`; those of the last time that are not among them go. */
export function writeFolder(path: string, files: Files, kind: FolderKind): void {
  const former = checkFolder(path, kind, files.keys());
  let made: string | undefined;
  try {
    // A symbolic link stays, and what it points at is written into.
    const target = existsSync(path) ? realpathSync(path) : resolve(path);
    made = mkdirSync(target, { recursive: true });
    const unlock = lockFolder(target, 'ditc');
    try {
      replace(target, files, former, kind.usual[0]);
      sweepTemporaries(target);
      made = undefined;
    } finally {
      unlock();
      if (made) removeEmpty(target, made);
    }
  } catch (error) {
    throw fileError(path, `cannot write the ${kind.name}`, error);
  }
}

function replace(target: string, files: Files, former: ReadonlySet<string>, whole: string): void {
  const fresh = temporaryIn(target, 'new');
  try {
    for (const [name, content] of files) {
      mkdirSync(dirname(join(fresh, name)), { recursive: true });
      const place = join(fresh, name);
      if (content instanceof OnDisk) renameSync(content.path, place);
      else writeToDisk(place, content);
    }
    const place = (name: string) => {
      mkdirSync(dirname(join(target, name)), { recursive: true });
      renameSync(join(fresh, name), join(target, name));
    };
    for (const name of files.keys()) if (name !== whole) place(name);
    for (const name of former) {
      if (files.has(name)) continue;
      rmSync(join(target, name), { force: true });
      if (dirname(name) !== '.') removeEmpty(join(target, dirname(name)), join(target, dirname(name)));
    }
    place(whole);
  } finally {
    discard(fresh);
  }
}

export function writeToDisk(path: string, content: string | Uint8Array): void {
  const file = openSync(path, 'wx');
  try {
    writeFileSync(file, content);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/** Removes `folder`, and those above it up to `top`, as far as nothing is in them. */
function removeEmpty(folder: string, top: string): void {
  try {
    rmdirSync(folder);
  } catch {
    return; // something is in it
  }
  if (folder !== top) removeEmpty(dirname(folder), top);
}
