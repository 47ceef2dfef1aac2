/** What `ditc run` leaves: outputs, the states that entries changed, and the weights where they changed these. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { EntrySpec, Manifest, Resource } from '../../compiler/emit/artefact.ts';
import { writeSafetensors } from '../../runtime/checkpoint/safetensors-write.ts';
import type { RunnableModel } from '../../runtime/model.ts';
import { writeAtomically } from '../../runtime/node/file.ts';
import { someOf } from '../../runtime/starts.ts';
import type { Tensor } from '../../runtime/tensor.ts';
import { UsageError } from '../errors.ts';
import { writeNpy } from '../npy.ts';
import { specsOf } from './entries.ts';

export interface Result {
  /** The stem of its file. */
  readonly name: string;
  readonly tensor: Tensor;
}

/** An output by the entry that gives it. */
type Stem = (entry: string, output: string) => string;

/**
 * What the outputs of entries, run in this order, are called. What two entries call alike has the entry's name before it, and so has what is
 * called like a state that the run leaves with another value.
 */
function stems(manifest: Manifest, names: readonly string[]): Stem {
  const order = [...new Set(names)];
  const all = order.flatMap((name) => manifest.entries[name].outputs.map((output) => output.name));
  const alike = (name: string) => all.indexOf(name) !== all.lastIndexOf(name);
  return (entry, output) => {
    const changing = order.filter((name) => changesState(manifest.entries[name], output));
    const isState = changing.at(-1) === entry && isNewValue(manifest.entries[entry], output);
    return alike(output) || (changing.length && !isState) ? `${entry}.${output}` : output;
  };
}

const changesState = ({ changes }: EntrySpec, state: string): boolean =>
  changes.some(({ kind, name }) => kind === 'state' && name === state);

/** Whether an output is what the state of its name becomes: it lies there, or is copied to there. */
function isNewValue({ outputs, updates }: EntrySpec, output: string): boolean {
  const { resource } = outputs.find(({ name }) => name === output)!;
  const lies = (to: Resource) => to.kind === 'state' && to.name === output;
  return lies(resource) || updates.some(({ from, to }) => lies(to) && isDeepStrictEqual(from, resource));
}

/** Outputs by entry, as they are called. */
export function namedOutputs(
  manifest: Manifest,
  names: readonly string[],
  outputs: ReadonlyMap<string, Readonly<Record<string, Tensor>>>,
): Result[] {
  const stem = stems(manifest, names);
  return [...outputs].flatMap(([entry, group]) =>
    Object.entries(group).map(([name, tensor]) => ({ name: stem(entry, name), tensor })),
  );
}

/** The files that runs of the entries write. */
function filesOf(manifest: Manifest, names: readonly string[]): string[] {
  const order = [...new Set(names)];
  const stem = stems(manifest, names);
  const results = order.flatMap((name) => manifest.entries[name].outputs.map((output) => stem(name, output.name)));
  const scratch = new Set(manifest.states.filter((state) => state.scratch).map(({ name }) => name));
  const changed = ({ changes }: EntrySpec) =>
    changes.filter(({ kind, name }) => kind === 'state' && !scratch.has(name));
  const states = specsOf(manifest, order).flatMap(changed);
  const arrays = [...new Set([...results, ...states.map(({ name }) => name)])].map((name) => `${name}.npy`);
  return changesWeights(manifest, names) ? [...arrays, WEIGHTS] : arrays;
}

/** What entries make of the weights. */
export const WEIGHTS = 'weights.safetensors';

/** @throws UsageError when files of a former run would be written over. */
export function checkNoResults(manifest: Manifest, names: readonly string[], out: string): void {
  const there = filesOf(manifest, names).filter((name) => existsSync(join(out, name)));
  if (!there.length) return;
  const what = `--out: ${out} holds ${someOf(there)} already`;
  const why = 'what is there would be written over';
  throw new UsageError({ what, why, fix: 'give another --out, or replace it with --overwrite' });
}

/** The states that the entries changed, but for those that an output shows. */
export async function changedStates(
  model: RunnableModel,
  names: readonly string[],
  shown: readonly Result[],
): Promise<Result[]> {
  const changed = new Set(specsOf(model.manifest, names).flatMap(({ changes }) => changes).filter(({ kind }) => kind === 'state').map(({ name }) => name)); // prettier-ignore
  const results: Result[] = [];
  for (const { name } of model.program.states) {
    if (changed.has(name) && !shown.some((result) => result.name === name))
      results.push({ name, tensor: await model.state(name) });
  }
  return results;
}

/** Writes results as .npy, and gives what is to be told of each: of a single number, its value. */
export async function writeResults(results: readonly Result[], folder: string) {
  const written = [];
  for (const { name, tensor } of results) {
    const { shape, dtype, data } = tensor;
    const file = join(folder, `${name}.npy`);
    await writeNpy(file, { name, shape, dtype }, data);
    written.push({ name, shape, dtype, file, ...(data.length === 1 && { value: data[0] }) });
  }
  return written;
}

/** Whether entries change weights. */
export const changesWeights = (manifest: Manifest, names: readonly string[]): boolean =>
  specsOf(manifest, names).some(({ changes }) => changes.some(({ kind }) => kind === 'param'));

/** All weights, as the program has them now. */
export async function writeWeights({ program, manifest }: RunnableModel, path: string): Promise<void> {
  const tensors = manifest.params.map(({ name, shape, dtype }) => ({
    name,
    dtype: dtype as 'f32' | 'f16',
    shape: [...shape],
    async *chunks() {
      yield (await program.readParam(name)) as Float32Array;
    },
  }));
  await writeAtomically(path, (write) => writeSafetensors(write, tensors));
}
