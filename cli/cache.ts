/**
 * What is kept of models between runs: the code and the verdict of a checked file, and what was compiled. Each by the content of
 * all that decides it, this program's own code included, so that nothing can be out of date.
 */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { deserialize, serialize } from 'node:v8';
import type { Keep, Kept } from '../compiler/frontend/index.ts';
import { CODE_ROOT } from '../compiler/frontend/paths.ts';
import { once } from '../compiler/ir/once.ts';
import { userFolder } from '../runtime/node/cache.ts';
import { Store } from '../runtime/node/store.ts';

/** The value of `DITC_CACHE` that keeps nothing. */
const OFF = 'off';

/** The folder that `DITC_CACHE` names, else this user's; undefined where nothing is to be kept. */
export function compiledFolder(given = process.env.DITC_CACHE): string | undefined {
  if (given === OFF) return undefined;
  const folder = given ? resolve(given) : userFolder();
  return folder && join(folder, 'compiled');
}

function store(): Store | undefined {
  const folder = compiledFolder();
  return folder === undefined ? undefined : new Store(folder);
}

/** Set in the bundle that cli/from-sources.mjs makes: the digest of all that is in it. */
declare const DITC_SOURCES: string | undefined;

/** The digest of the code that this is, with the versions of what it compiles by. */
const code = once(() => {
  const own =
    typeof DITC_SOURCES === 'string' ? DITC_SOURCES : digestOfFolders(['cli', 'compiler', 'library', 'runtime']);
  const require = createRequire(import.meta.url);
  const { version } = require('ts-morph/package.json') as { version: string };
  return [own, version, process.version, process.arch];
});

function digestOfFolders(folders: readonly string[]): string {
  const hash = createHash('sha256');
  for (const folder of folders) {
    const files = readdirSync(join(CODE_ROOT, folder), { recursive: true, withFileTypes: true });
    const paths = files.filter((file) => file.isFile()).map((file) => join(file.parentPath ?? file.path, file.name));
    for (const path of paths.sort()) {
      const content = readFileSync(path);
      hash.update(`${path} ${content.length}\n`).update(content);
    }
  }
  return hash.digest('hex');
}

const nameOf = (kind: string, key: unknown): string => JSON.stringify([kind, ...code(), key]);

/** What `make` gives; from the cache, where it was made for the same key before. */
export function remembered<T>(kind: string, key: unknown, make: () => T): T {
  const kept = store();
  if (!kept) return make();
  const name = nameOf(kind, key);
  const found = read(kept, name);
  if (found !== undefined) return found as T;
  const made = make();
  kept.write(name, serialize(made));
  return made;
}

/** Model files that were found right. */
export const keep: Keep = {
  read(key) {
    const kept = store();
    return kept && (read(kept, nameOf('model', key)) as Kept | undefined);
  },
  write(key, value) {
    store()?.write(nameOf('model', key), serialize(value));
  },
};

function read(kept: Store, name: string): unknown {
  const bytes = kept.read(name);
  return bytes && (deserialize(bytes) as unknown);
}
