/**
 * A folder that one process at a time writes into: a file in it says which. It is there whole or not at all, and one that a
 * killed process left does not count.
 */
import { linkSync, readFileSync, renameSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { RuntimeError } from '../error.ts';
import { isRunning, ownProcess, type ProcessId } from './process.ts';
import { discard, temporaryIn, track } from './temporary.ts';

export const LOCK_FILE = '.ditc-lock';

/** Its holder touches the file so often; one on another machine that has not for much longer is gone. */
const BEAT_MS = 20_000;
const GONE_MS = 6 * BEAT_MS;

interface Holder {
  readonly process: ProcessId;
  readonly host: string;
  /** When the lock was taken, ISO 8601. */
  readonly since: string;
  /** What is being done: `ditc train`. */
  readonly doing: string;
}

/**
 * Takes the lock of an existing folder, or the one called `name` in it; the returned function gives it back.
 * @throws RuntimeError `locked` when another process has it, naming that one; the system's error when none can be made.
 */
export function lockFolder(folder: string, doing: string, name = LOCK_FILE): () => void {
  const path = join(folder, name);
  const made = temporaryIn(folder, 'tmp');
  try {
    const holder: Holder = { process: ownProcess(), host: hostname(), since: new Date().toISOString(), doing };
    writeFileSync(made, `${JSON.stringify(holder)}\n`, { flag: 'wx' });
    while (!placed(made, path)) {
      checkUnlocked(folder, name);
      removeStale(folder, path);
    }
    track(path);
  } finally {
    discard(made);
  }
  const beat = setInterval(() => touch(path), BEAT_MS).unref();
  return () => {
    clearInterval(beat);
    discard(path);
  };
}

/** @throws RuntimeError `locked` when a process that still runs has the folder's lock. */
export function checkUnlocked(folder: string, name = LOCK_FILE): void {
  const path = join(folder, name);
  const holder = holderOf(path);
  if (!holder || !isHeld(holder, path)) return;
  const { process: held, host, since, doing } = holder;
  const here = isRunning(held);
  throw new RuntimeError({
    code: 'locked',
    where: folder,
    what: 'another process is writing there',
    why: `${doing}, process ${held.pid}${here ? '' : ` on ${host}`}, since ${since}`,
    fix: here
      ? 'wait for it, end it, or give another folder'
      : `wait for it, or give another folder; if it is known to have ended, remove ${path}`,
  });
}

const isHeld = ({ process: held }: Holder, path: string): boolean => isRunning(held) ?? ageOf(path) < GONE_MS;

const ageOf = (path: string): number => Date.now() - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0);

/** Undefined where there is no lock. A file that is no lock of ours belongs to nobody that runs. */
function holderOf(path: string): Holder | undefined {
  try {
    const holder = JSON.parse(readFileSync(path, 'utf8')) as Holder;
    const { pid, host, boot, space, start } = holder.process;
    return Number.isSafeInteger(pid) && [host, boot, space, start].every((s) => typeof s === 'string')
      ? holder
      : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Takes a lock that nobody holds out of the way. Another process may do so at the same moment and have made its own by now:
 * what was taken is looked at again, and put back when it is held after all.
 */
function removeStale(folder: string, path: string): void {
  const taken = temporaryIn(folder, 'tmp');
  try {
    renameSync(path, taken);
    const holder = holderOf(taken);
    if (holder && isHeld(holder, taken)) renameSync(taken, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  } finally {
    discard(taken);
  }
}

/** `made` becomes the lock; false when there is one. */
function placed(made: string, path: string): boolean {
  const isThere = (error: unknown) => (error as NodeJS.ErrnoException).code === 'EEXIST';
  try {
    linkSync(made, path);
    return true;
  } catch (error) {
    if (isThere(error)) return false;
  }
  // A file system without links: there is a moment in which the file is made and still empty.
  try {
    writeFileSync(path, readFileSync(made), { flag: 'wx' });
    return true;
  } catch (error) {
    if (isThere(error)) return false;
    throw error;
  }
}

function touch(path: string): void {
  try {
    const now = new Date();
    utimesSync(path, now, now);
  } catch {
    // Removed by hand: nothing depends on it that the next look does not tell.
  }
}
