/** What callers of a loaded model are held to: its entries, numbers that count, and options there are. */
import { nearestName } from './checkpoint/suggest.ts';
import { quote, RuntimeError, type RuntimeErrorParts } from './error.ts';
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

/** The names of all options of a call: a key for each, so that none is forgotten. */
export type OptionNames<Options> = Readonly<Record<keyof Options, true>>;

/** What is wrong with the options of a call, if they are no object or one of them is not known. */
export function wrongOptions(
  call: string,
  given: unknown,
  names: Readonly<Record<string, true>>,
  kind = 'option',
): Omit<RuntimeErrorParts, 'code'> | undefined {
  const known = Object.keys(names);
  const all = `its ${kind}s are ${known.join(', ')}`;
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    return { where: call, what: `it was not given an object of ${kind}s`, why: all, fix: `give ${call} { … }` };
  const stranger = Object.keys(given).find((name) => !Object.hasOwn(names, name));
  if (stranger === undefined) return undefined;
  const near = nearestName(stranger, known);
  const fix = near ? `did you mean ${near}?` : 'leave it out, or correct the name';
  return { where: call, what: `there is no ${kind} ${quote(stranger)}`, why: all, fix };
}

/** Throws unless `given` holds known options only. @throws RuntimeError `bad-argument`, with the nearest name. */
export function checkOptions<Options>(call: string, given: unknown, names: OptionNames<Options>, kind?: string): void {
  const wrong = wrongOptions(call, given, names, kind);
  if (wrong) throw new RuntimeError({ code: 'bad-argument', ...wrong });
}
