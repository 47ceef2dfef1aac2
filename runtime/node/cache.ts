/** Where this package keeps what it unpacks or compiles once per user. */
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';

/** A folder only this user can write: libraries are loaded from it. */
export function cacheFolder(): string {
  // The fallback's name can be guessed, so someone else may have made it first: `isOwn` then refuses it.
  const choices = [
    () => path.join(userCache(), 'ditc'),
    () => path.join(os.tmpdir(), `ditc-${process.getuid?.() ?? 'user'}`),
  ];
  for (const choice of choices) {
    try {
      const folder = choice();
      makeFolder(folder);
      fs.accessSync(folder, fs.constants.W_OK);
      if (isOwn(folder)) return folder;
    } catch {
      // No home, or not writable: try the next.
    }
  }
  return fs.mkdtempSync(path.join(os.tmpdir(), 'ditc-'));
}

function userCache(): string {
  const { XDG_CACHE_HOME } = process.env;
  // Throws for a user id without a home, as in `docker run --user`.
  return XDG_CACHE_HOME && path.isAbsolute(XDG_CACHE_HOME) ? XDG_CACHE_HOME : path.join(os.homedir(), '.cache');
}

/** Makes a folder and those above it. Not mkdirSync's own `recursive`: Node 20 loops for ever where a folder cannot be made in an existing one (/proc). */
export function makeFolder(folder: string): void {
  if (fs.existsSync(folder)) return;
  makeFolder(path.dirname(folder));
  try {
    fs.mkdirSync(folder, { mode: 0o700 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}

function isOwn(folder: string): boolean {
  const stat = fs.lstatSync(folder);
  return stat.isDirectory() && stat.uid === process.getuid?.() && (stat.mode & 0o022) === 0;
}
