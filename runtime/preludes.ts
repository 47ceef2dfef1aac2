/**
 * Which preludes are to run again. A prelude fills the tables that a loop's body reads; they hold until an input, parameter
 * or state that the prelude reads gets another value.
 */
import type { EntrySpec, Manifest } from '../compiler/emit/artefact.ts';
import { partsOf } from './parts.ts';

/** What may change: `input y`, `param w`, `state x`. */
type Key = string;

export class Preludes {
  readonly #readers = new Map<Key, Set<string>>();
  readonly #fresh = new Set<string>();
  readonly #entries: Manifest['entries'];

  constructor(manifest: Manifest, entries: readonly string[]) {
    this.#entries = manifest.entries;
    const packs = new Map((manifest.packs ?? []).map(({ name, params }) => [name, params]));
    const bundles = new Map((manifest.bundles ?? []).map(({ name, states }) => [name, states]));
    for (const prelude of new Set(entries.flatMap((name) => manifest.entries[name].prelude ?? []))) {
      const specs = partsOf(manifest.entries, prelude).map((name) => manifest.entries[name]);
      for (const key of specs.flatMap((spec) => [...keysRead(spec, packs, bundles)])) {
        this.#readers.set(key, (this.#readers.get(key) ?? new Set()).add(prelude));
      }
    }
  }

  /** The prelude to run before an entry, if it is due. */
  due(entry: string): string | undefined {
    const { prelude } = this.#entries[entry];
    return prelude !== undefined && !this.#fresh.has(prelude) ? prelude : undefined;
  }

  /** An entry was submitted: if it is a prelude its tables hold, and what it changed makes others due. */
  ran(entry: string): void {
    for (const { kind, name } of this.#entries[entry].changes) this.changed(kind, name);
    this.#fresh.add(entry);
  }

  /** A value was set from outside. */
  changed(kind: string, name: string): void {
    for (const prelude of this.#readers.get(`${kind} ${name}`) ?? []) this.#fresh.delete(prelude);
  }
}

type Members = ReadonlyMap<string, readonly string[]>;

function keysRead({ dispatches, inputs, updates }: EntrySpec, packs: Members, bundles: Members): Set<Key> {
  const keys = new Set<Key>(inputs.map(({ name }) => `input ${name}`));
  const read = [...dispatches.flatMap(({ resources }) => resources), ...updates.map(({ from }) => from)];
  for (const resource of read) {
    if (resource.kind === 'pack') for (const name of packs.get(resource.name) ?? []) keys.add(`param ${name}`);
    else if (resource.kind === 'bundle') for (const name of bundles.get(resource.name) ?? []) keys.add(`state ${name}`);
    else if (resource.kind !== 'arena') keys.add(`${resource.kind} ${resource.name}`);
  }
  return keys;
}
