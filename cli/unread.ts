/** Options that are given and have no effect. */
import { optionsRead, type EntryOptions } from '../compiler/dsl/model.ts';
import { guard, type LoadedModel } from '../compiler/frontend/index.ts';
import { UsageError } from './errors.ts';

/** What to say of options that no entry of a model reads; undefined where all are read. */
export function unreadOptions(
  loaded: LoadedModel,
  entries: readonly string[],
  options: EntryOptions,
  given: readonly string[],
): string | undefined {
  const read = given.length ? guard(loaded, () => optionsRead(loaded.model, options, entries)) : new Set();
  const unread = given.filter((name) => !read.has(name));
  if (!unread.length) return undefined;
  const flags = unread.map(flag);
  const verb = flags.length > 1 ? 'have' : 'has';
  return `${flags.join(' and ')} ${verb} no effect: ${loaded.name} reads no option ${unread.join(' or ')}`;
}

/** Throws where an option is given without the one that it is about. */
export function checkBeside<O extends object>(
  options: O,
  about: keyof O & string,
  names: readonly (keyof O & string)[],
): void {
  if (options[about] !== undefined) return;
  const alone = names.find((name) => options[name] !== undefined);
  if (alone === undefined) return;
  const fix = `add ${flag(about)}, or leave ${flag(alone)} out`;
  throw new UsageError({ what: `${flag(alone)} is for ${flag(about)}`, fix });
}

/** As the command line writes it. */
const flag = (name: string): string => `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
