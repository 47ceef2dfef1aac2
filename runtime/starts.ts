/** Which states have been begun: an entry that goes on from state that another begins is refused before. */
import type { EntrySpec, Manifest } from '../compiler/emit/artefact.ts';
import { RuntimeError } from './error.ts';

/** What an entry goes on from that is not among the states `set`: their names, and the entries that begin them. */
export function unstarted(
  { startedBy = {} }: EntrySpec,
  set: (state: string) => boolean,
): { readonly states: readonly string[]; readonly by: readonly string[] } | undefined {
  const states = Object.keys(startedBy).filter((name) => !set(name));
  return states.length ? { states, by: [...new Set(states.flatMap((name) => startedBy[name]))] } : undefined;
}

/** Names for a message, which shows a few of them. */
export const someOf = (names: readonly string[], most = 3): string =>
  names.slice(0, most).join(', ') + (names.length > most ? `, … (${names.length})` : '');

export class Starts {
  readonly #entries: Manifest['entries'];
  readonly #set = new Set<string>();
  /** Entries whose changes are among them. */
  readonly #ran = new Set<string>();

  constructor({ entries }: Manifest) {
    this.#entries = entries;
  }

  /** @throws RuntimeError `not-started`. */
  check(entry: string): void {
    if (this.#ran.has(entry)) return;
    const missing = unstarted(this.#entries[entry], (state) => this.#set.has(state));
    if (!missing) return;
    const what = `${entry} goes on from state that nothing has begun: ${someOf(missing.states)}`;
    const why = `${missing.by.join(' or ')} gives it its first value`;
    throw new RuntimeError({ code: 'not-started', what, why, fix: `run ${missing.by[0]} before, or set the state` });
  }

  /** An entry was submitted. */
  ran(entry: string): void {
    if (this.#ran.has(entry)) return;
    this.#ran.add(entry);
    for (const { kind, name } of this.#entries[entry].changes) if (kind === 'state') this.#set.add(name);
  }

  /** A state was set from outside. */
  set(state: string): void {
    this.#set.add(state);
  }
}
