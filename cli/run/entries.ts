/** The entries that `ditc run` runs in turn: what each is given, what it goes on from, and how often it runs. */
import type { EntrySpec, Manifest, TensorSpec } from '../../compiler/emit/artefact.ts';
import { someOf, unstarted } from '../../runtime/starts.ts';
import type { Values } from '../../runtime/transfer.ts';
import { UsageError } from '../errors.ts';
import type { NpyArray } from '../../runtime/checkpoint/npy.ts';
import { inputValues } from '../npy.ts';

/** Arrays by the name they are given for, with the file that each is from. */
export type Arrays = ReadonlyMap<string, { readonly file: string; readonly array: NpyArray }>;

/** The artefact's entries of these names, in order. */
export const specsOf = ({ entries }: Manifest, names: readonly string[]): EntrySpec[] => names.map((n) => entries[n]);

/** Values for tensors, of the arrays given for them. */
export const valuesFor = (specs: readonly TensorSpec[], arrays: Arrays, batch: number): Map<string, Values> =>
  new Map(
    specs.flatMap((spec) => {
      const given = arrays.get(spec.name);
      return given ? [[spec.name, inputValues(spec, given.array, given.file, batch)] as const] : [];
    }),
  );

const list = (specs: readonly TensorSpec[]): string =>
  specs.map(({ name, dtype, shape }) => `${name} ${dtype}[${shape.join(', ')}]`).join('\n');

const distinct = (specs: readonly TensorSpec[]): TensorSpec[] => [...new Map(specs.map((s) => [s.name, s])).values()];

/** Every input of every entry must be given, and nothing else. */
export function checkInputs(manifest: Manifest, names: readonly string[], given: ReadonlyMap<string, unknown>): void {
  const inputs = distinct(specsOf(manifest, names).flatMap((entry) => entry.inputs));
  const entries = [...new Set(names)].join(' and ');
  const [has, needs] = names.length > 1 ? ['have', 'need'] : ['has', 'needs'];
  const unknown = [...given.keys()].filter((name) => !inputs.some((spec) => spec.name === name));
  if (unknown.length) {
    const why = inputs.length ? `${names.length > 1 ? 'their' : 'its'} inputs are\n${list(inputs)}` : 'there are none';
    const fix = 'correct the name, or leave it out';
    throw new UsageError({ what: `${entries} ${has} no input ${unknown.join(', ')}`, why, fix });
  }
  const missing = inputs.filter(({ name }) => !given.has(name));
  if (!missing.length) return;
  const fix = missing.map(({ name }) => `--input ${name}=${name}.npy`).join(' ');
  throw new UsageError({ what: `${entries} ${needs} more inputs`, why: list(missing), fix: `add ${fix}` });
}

/** What entries go on from must be given, or begun by one that runs before. */
export function checkStarted(manifest: Manifest, names: readonly string[], given: ReadonlyMap<string, unknown>): void {
  const set = new Set(given.keys());
  const known = manifest.states.filter(({ scratch }) => !scratch).map(({ name }) => name);
  const unknown = [...set].find((name) => !known.includes(name));
  if (unknown !== undefined) {
    const why = known.length ? `they are ${someOf(known, 8)}` : 'it has none';
    throw new UsageError({ what: `--state: ${manifest.model} has no state ${unknown}`, why, fix: 'correct the name' });
  }
  for (const name of names) {
    const spec = manifest.entries[name];
    const missing = unstarted(spec, (state) => set.has(state));
    if (missing) {
      const what = `${name} goes on from state that nothing has begun: ${someOf(missing.states)}`;
      const why = `${missing.by.join(' or ')} gives it its first value`;
      const fix = `write --entry ${missing.by[0]} before --entry ${name}, or give the state as --state NAME=FILE.npy`;
      throw new UsageError({ what, why, fix });
    }
    for (const change of spec.changes) if (change.kind === 'state') set.add(change.name);
  }
}

/**
 * The rounds of `runs`: all entries in turn, and then those again that begin nothing. What only sets states for others would undo in
 * each round what they make of them.
 */
export function roundsOf(manifest: Manifest, names: readonly string[], runs: number): readonly (readonly string[])[] {
  const begin = new Set(specsOf(manifest, names).flatMap(({ startedBy = {} }) => Object.values(startedBy).flat()));
  const rest = names.filter((name) => !begin.has(name) && !setsForOthers(manifest, name, names));
  return Array.from({ length: runs }, (_, round) => (round && rest.length ? rest : names));
}

/** Whether all that an entry does is to set states, whatever they were, that others of `names` go on to change. */
function setsForOthers({ entries }: Manifest, entry: string, names: readonly string[]): boolean {
  const { changes, outputs } = entries[entry];
  const others = names.filter((name) => name !== entry).flatMap((name) => entries[name].changes);
  const isForOthers = ({ kind, name }: EntrySpec['changes'][number]) =>
    others.some((other) => other.kind === kind && other.name === name && !other.anew);
  return !outputs.length && changes.some(isForOthers) && changes.every(({ anew }) => anew);
}
