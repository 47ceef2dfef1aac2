/**
 * Files and folders that are there only while something is under way. Their names carry the process that made them: what a
 * killed one left is told from what a running one still writes, and is removed by the next that writes into the folder.
 */
import { readdirSync, rmdirSync, rmSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { isRunning, ownProcess, parseProcess, processText } from './process.ts';

const NAME = /^\.ditc-(.+)-\d+\.(tmp|new)$/;
/** Age at which one of a process that cannot be asked, for it is on another machine, is taken for left behind. */
const STALE_MS = 24 * 3600 * 1000;

/** Each with how it goes. */
const present = new Map<string, (path: string) => void>();
const swept = new Set<string>();
let listener: (any: boolean) => void = () => {};
let serial = 0;

/** Has `listen` told when there begins to be something that a signal would leave behind, and when there is nothing more. */
export function onTemporaries(listen: (any: boolean) => void): void {
  listener = listen;
}

/** A path in `folder` that is nobody else's, for a file (`tmp`) or a folder (`new`). `discard` it when it has served. */
export function temporaryIn(folder: string, ending: 'tmp' | 'new'): string {
  const key = resolve(folder);
  if (!swept.has(key)) sweepTemporaries(folder);
  swept.add(key);
  const path = join(folder, `.ditc-${processText(ownProcess())}-${serial++}.${ending}`);
  track(path);
  return path;
}

/** Counts a path among the temporary ones, removed by `removal` where that takes more than removing. What it returns does so. */
export function track(path: string, removal = remove): () => void {
  present.set(path, removal);
  if (present.size === 1) listener(true);
  return () => {
    removal(path);
    forget(path);
  };
}

/** Counts a folder among the temporary ones for as long as nothing is in it. What it returns ends that. */
export const trackEmpty = (folder: string): (() => void) => track(folder, removeEmpty);

/** Removes a temporary file or folder, if it is still there. */
export function discard(path: string): void {
  remove(path);
  forget(path);
}

function forget(path: string): void {
  if (present.delete(path) && !present.size) listener(false);
}

/** Removes all of them, the last first: for a signal's handler, which is about to end the process. */
export function discardAll(): void {
  for (const [path, removal] of [...present].reverse()) removal(path);
}

/** Removes what killed processes left in a folder; gives the paths that running ones use. */
export function sweepTemporaries(folder: string): string[] {
  const [used, left] = [true, false].map((isUsed) => temporariesIn(folder).filter((found) => found.isUsed === isUsed));
  for (const { path } of left) remove(path);
  return used.map(({ path }) => path);
}

/** What is temporary in a folder, and whether a process that runs uses it. */
export function temporariesIn(folder: string): { path: string; ending: string; isUsed: boolean }[] {
  return namesIn(folder).flatMap((name) => {
    const [, text, ending] = NAME.exec(name) ?? [];
    const maker = text === undefined ? undefined : parseProcess(text);
    const path = join(folder, name);
    return maker ? [{ path, ending, isUsed: isRunning(maker) ?? ageOf(path) < STALE_MS }] : [];
  });
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return []; // there is none, or it cannot be read: who writes there is told
  }
}

function ageOf(path: string): number {
  return Date.now() - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0);
}

function remove(path: string): void {
  try {
    rmSync(path, { recursive: true, force: true });
  } catch {
    // Somebody else's, or the disk is gone: what can be removed has been.
  }
}

function removeEmpty(folder: string): void {
  try {
    rmdirSync(folder);
  } catch {
    // It holds something by now: it stays.
  }
}
