/**
 * What is kept of models between runs: the code and the verdict of a checked file, and what was compiled. Each by the content of
 * all that decides it, this program's own code included, so that nothing can be out of date.
 */
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { deserialize, serialize } from 'node:v8';
import type { Keep, Kept } from '../compiler/frontend/index.ts';
import { CODE_ROOT } from '../compiler/frontend/paths.ts';
import { once } from '../compiler/ir/once.ts';
import { userFolder } from '../runtime/node/cache.ts';
import { Store } from '../runtime/node/store.ts';
import { codeDigest, isUnchanged } from './code.ts';

/** The value of `DITC_CACHE` that keeps nothing. */
const OFF = 'off';

/** The folder that `DITC_CACHE` names, else this user's; undefined where nothing is to be kept. */
export function compiledFolder(given = process.env.DITC_CACHE): string | undefined {
  if (given === OFF) return undefined;
  const folder = given ? resolve(given) : userFolder();
  return folder && join(folder, 'compiled');
}

/** None where the code was changed while this process runs: what it makes is neither the former's nor the new one's. */
function store(): Store | undefined {
  const folder = compiledFolder();
  return folder === undefined || !isUnchanged() ? undefined : new Store(folder);
}

/** Whose code this is, where it lies, and the versions of what it compiles by. */
const code = once(() => {
  const require = createRequire(import.meta.url);
  const { version } = require('ts-morph/package.json') as { version: string };
  return [codeDigest(), CODE_ROOT, version, process.version, process.arch];
});

const nameOf = (kind: string, key: unknown): string => JSON.stringify([kind, ...code(), key]);

/** What `make` gives; from the cache, where it was made for the same key before. */
export function remembered<T>(kind: string, key: unknown, make: () => T): T {
  const kept = store();
  if (!kept) return make();
  const name = nameOf(kind, key);
  const found = read(kept, name);
  if (found !== undefined) return found as T;
  const made = make();
  store()?.write(name, serialize(made));
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
