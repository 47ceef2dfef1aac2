/**
 * A folder that one process at a time writes into: a file in it says which. It is there whole or not at all, and one that a
 * killed process left does not count.
 */
import { randomUUID } from 'node:crypto';
import { existsSync, linkSync, readFileSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { basename, join } from 'node:path';
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
  /** Like no other lock's: a process may have several. */
  readonly id: string;
}

/**
 * Takes the lock of an existing folder, or the one called `name` in it; the returned function gives it back.
 * @throws RuntimeError `locked` when another process has it, naming that one; the system's error when none can be made.
 */
export function lockFolder(folder: string, doing: string, name = LOCK_FILE): () => void {
  const path = join(folder, name);
  const since = new Date().toISOString();
  const holder: Holder = { process: ownProcess(), host: hostname(), since, doing, id: randomUUID() };
  const own = `${JSON.stringify(holder)}\n`;
  let giveBack = (): void => {};
  const made = temporaryIn(folder, 'tmp');
  try {
    writeFileSync(made, own, { flag: 'wx' });
    take(folder, path, made);
    giveBack = track(path, () => release(path, own));
    sweepRight(folder, path, made);
  } finally {
    discard(made);
  }
  const beat = setInterval(() => touch(path, own), BEAT_MS).unref();
  return () => {
    clearInterval(beat);
    giveBack();
  };
}

/**
 * Removes the lock if it is still this one: a process that was suspended for long may have been taken for gone, and another have the
 * folder by now.
 */
function release(path: string, own: string): void {
  try {
    if (contentOf(path) === own) rmSync(path, { force: true });
  } catch {
    // The folder may no longer be written: the lock of an ended process does not count.
  }
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
 * Makes `made` the lock. One whose holder has ended is replaced by whoever holds the right to: a lock of its own beside it, taken
 * in the same way, which then becomes the lock. So none is removed or written over while its holder runs, however many come at once.
 */
function take(folder: string, path: string, made: string): void {
  while (!placed(made, path)) {
    const seen = contentOf(path);
    checkUnlocked(folder, basename(path));
    if (seen === undefined) continue;
    const right = rightTo(path);
    take(folder, right, made);
    // Another may have replaced it since it was looked at.
    if (contentOf(path) === seen) return renameSync(right, path);
    rmSync(right);
  }
}

/** Removes the right that a process left which was killed on its way to the lock; one that runs has it still. */
function sweepRight(folder: string, path: string, made: string): void {
  const right = rightTo(path);
  if (!existsSync(right)) return;
  try {
    take(folder, right, made);
    rmSync(right);
  } catch (error) {
    if (!(error instanceof RuntimeError)) throw error;
  }
}

/** The right to replace a lock. */
const rightTo = (path: string): string => `${path}.next`;

function contentOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined; // it was given back meanwhile
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

function touch(path: string, own: string): void {
  try {
    if (contentOf(path) !== own) return;
    const now = new Date();
    utimesSync(path, now, now);
  } catch {
    // Removed by hand: nothing depends on it that the next look does not tell.
  }
}
