/** What `ditc run` leaves: outputs, the states that entries changed, and the weights where they changed these. */
import { join } from 'node:path';
import type { Manifest } from '../../compiler/emit/artefact.ts';
import { writeSafetensors } from '../../runtime/checkpoint/safetensors_write.ts';
import type { RunnableModel } from '../../runtime/model.ts';
import { writeAtomically } from '../../runtime/node/file.ts';
import type { Tensor } from '../../runtime/tensor.ts';
import { writeNpy } from '../npy.ts';
import { specsOf } from './entries.ts';

export interface Result {
  /** The stem of its file. */
  readonly name: string;
  readonly tensor: Tensor;
}

/** Outputs by entry. What two entries call alike has the entry's name before it. */
export function namedOutputs(outputs: ReadonlyMap<string, Readonly<Record<string, Tensor>>>): Result[] {
  const all = [...outputs.values()].flatMap((group) => Object.keys(group));
  const alike = (name: string) => all.indexOf(name) !== all.lastIndexOf(name);
  return [...outputs].flatMap(([entry, group]) =>
    Object.entries(group).map(([name, tensor]) => ({ name: alike(name) ? `${entry}.${name}` : name, tensor })),
  );
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
