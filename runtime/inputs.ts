/** What inputs were written with: of which size, and whether each entry that reads one can take the values. */
import type { InputSpec, Manifest } from '../compiler/emit/artefact.ts';
import { countOf } from './buffers.ts';
import type { RuntimeError } from './error.ts';
import { outOfRange } from './values.ts';
import { wrongLength, type Values } from './transfer.ts';

export class Inputs {
  readonly #entries: readonly (readonly [name: string, inputs: readonly InputSpec[]])[];
  readonly #lengths = new Map<string, number>();
  /** Of an input, what is wrong with its values, by the entries that cannot take them. */
  readonly #refused = new Map<string, ReadonlyMap<string, RuntimeError>>();

  constructor(manifest: Manifest, entries: readonly string[]) {
    this.#entries = entries.map((name) => [name, manifest.entries[name].inputs]);
  }

  /** All inputs of all entries. */
  get specs(): readonly InputSpec[] {
    return this.#entries.flatMap(([, inputs]) => inputs);
  }

  /** Notes the values. @throws RuntimeError `out-of-range` when no entry that they fit can take them. */
  written(name: string, values: Values): void {
    const readers = this.#entries.flatMap(([entry, inputs]) =>
      inputs.filter((spec) => spec.name === name && countOf(spec) === values.length).map((spec) => ({ entry, spec })),
    );
    const refused = new Map(
      readers.flatMap(({ entry, spec }) => {
        const fault = outOfRange(spec, values, entry);
        return fault ? [[entry, fault] as const] : [];
      }),
    );
    if (refused.size && refused.size === readers.length) throw [...refused.values()][0];
    this.#lengths.set(name, values.length);
    this.#refused.set(name, refused);
  }

  /** Throws unless an entry can take what was written. @throws RuntimeError `mismatch`, `out-of-range`. */
  check(entry: string, inputs: readonly InputSpec[]): void {
    for (const spec of inputs) {
      const given = this.#lengths.get(spec.name);
      if (given !== undefined && given !== countOf(spec)) throw wrongLength(spec, `${given} were written`);
      const fault = this.#refused.get(spec.name)?.get(entry);
      if (fault) throw fault;
    }
  }
}
