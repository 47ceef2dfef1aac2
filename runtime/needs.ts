/** What callers of a loaded model are held to: its entries, and numbers that count. */
import { RuntimeError } from './error.ts';
import type { Program } from './program.ts';

/** Throws unless the program has all these entries. @throws RuntimeError `entry`. */
export function checkEntries({ manifest, entries }: Program, needed: readonly string[]): void {
  const missing = needed.filter((name) => !entries.includes(name));
  if (!missing.length) return;
  const isBuilt = missing.every((name) => Object.hasOwn(manifest.entries, name));
  const what = `it ${isBuilt ? 'was loaded without' : 'has no entry'} ${missing.join(' and ')}`;
  const fix = isBuilt
    ? `load it with entries: ${needed.join(', ')}`
    : `build it with ${needed.map((name) => `--entry ${name}`).join(' ')}`;
  throw new RuntimeError({ code: 'entry', where: manifest.model, what, fix });
}

/** Throws unless a value is a whole number of at least `least`. @throws RuntimeError `bad-argument`. */
export function checkCount(name: string, value: number, least: number): void {
  if (Number.isSafeInteger(value) && value >= least) return;
  const fix = `give a whole number from ${least}`;
  throw new RuntimeError({ code: 'bad-argument', what: `${name} is ${value}`, fix });
}
