/** The code that this is: its digest, and whether it is still what this process began with. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { CODE_ROOT, slash } from '../compiler/frontend/paths.ts';
import { once } from '../compiler/ir/once.ts';

const FOLDERS = ['cli', 'compiler', 'library', 'runtime'];

/** Of every file of it: the same wherever it lies. */
const digest = once(() => {
  const hash = createHash('sha256');
  for (const path of pathsIn(CODE_ROOT)) {
    if (!statSync(path).isFile()) continue;
    const content = readFileSync(path);
    hash.update(`${slash(relative(CODE_ROOT, path))} ${content.length}\n`).update(content);
  }
  return { hex: hash.digest('hex') };
});

export const codeDigest = (): string => digest().hex;

/**
 * Whether no file of it was changed since `began`, when this process did: what was loaded before that is not what the files say now, and
 * what is loaded after it is not what the digest says.
 */
export function isUnchanged(root = CODE_ROOT, began = performance.timeOrigin): boolean {
  try {
    return pathsIn(root).every((path) => {
      const { mtimeMs, ctimeMs } = statSync(path);
      return mtimeMs <= began && ctimeMs <= began;
    });
  } catch {
    return false; // a file went while it was looked at
  }
}

/** Files, and the folders that they lie in. */
const pathsIn = (root: string): string[] =>
  FOLDERS.map((folder) => join(root, folder)).flatMap((folder) => [
    folder,
    ...readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .sort()
      .map((name) => join(folder, name)),
  ]);
