/** Where this package keeps what it unpacks or compiles once per user. */
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';

/** A folder only this user can write: libraries are loaded from it. */
export const cacheFolder = (): string => userFolder() ?? fs.mkdtempSync(path.join(os.tmpdir(), 'ditc-'));

/** The same folder each time, or undefined where there can be none. */
export function userFolder(): string | undefined {
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
  return undefined;
}

function userCache(): string {
  const { XDG_CACHE_HOME, LOCALAPPDATA } = process.env;
  if (XDG_CACHE_HOME && path.isAbsolute(XDG_CACHE_HOME)) return XDG_CACHE_HOME;
  if (process.platform === 'win32' && LOCALAPPDATA) return LOCALAPPDATA;
  // Throws for a user id without a home, as in `docker run --user`.
  const home = os.homedir();
  return process.platform === 'darwin' ? path.join(home, 'Library/Caches') : path.join(home, '.cache');
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
  // Windows has no such owners; the folder is in the user's profile.
  if (!process.getuid) return true;
  const stat = fs.lstatSync(folder);
  return stat.isDirectory() && stat.uid === process.getuid() && (stat.mode & 0o022) === 0;
}
