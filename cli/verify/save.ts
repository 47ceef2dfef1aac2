/** A failed check as files: everything that shows it again without the model. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Artefact, TensorSpec } from '../../compiler/emit/artefact.ts';
import { printGraph } from '../../compiler/ir/index.ts';
import { encodeNpy } from '../../runtime/checkpoint/npy.ts';
import type { Values } from '../../runtime/transfer.ts';
import { npyOf } from '../npy.ts';
import { checkFolder, writeFolder, type FolderKind } from '../../library/written-folder.ts';
import type { Check } from './check.ts';

const CHECK: FolderKind = {
  name: 'failed check',
  option: '--save',
  usual: ['region.ir', 'got.npy', 'expected.npy', 'kernel.wgsl'],
  listed(folder) {
    if (!existsSync(join(folder, 'region.ir'))) return [];
    const inputs = existsSync(join(folder, 'inputs')) ? readdirSync(join(folder, 'inputs')) : [];
    return [...CHECK.usual, ...inputs.filter((name) => name.endsWith('.npy')).map((name) => `inputs/${name}`)];
  },
};

export const folderOf = (dir: string, kernel: string): string => join(dir, kernel);

/** Throws unless checks of these kernels can be saved in `dir`. */
export function checkSaveFolder(dir: string, kernels: Iterable<string>): void {
  for (const kernel of kernels) checkFolder(folderOf(dir, kernel), CHECK);
}

/**
 * Writes `DIR/<kernel>/`: `inputs/<name>.npy`, `got.npy`, `expected.npy` (float64), `kernel.wgsl`, and `region.ir`, the graph
 * that the kernel computes, whose inputs are named as the files. Returns that folder.
 */
export function saveCheck(dir: string, { dispatch, evidence }: Check, { wgsl }: Artefact): string {
  const { graph, inputs, output, got, want } = evidence;
  const files = new Map<string, string | Uint8Array>();
  const array = (file: string, type: Omit<TensorSpec, 'name'>, values: Values) =>
    files.set(file, encodeNpy(npyOf(type, values)));
  for (const { attrs, type } of graph.inputs)
    array(`inputs/${String(attrs.name)}.npy`, type, inputs[String(attrs.name)]);
  const { dtype, shape } = output;
  // A bool is a word, and a wrong one may be any.
  array('got.npy', { dtype: dtype === 'bool' ? 'u32' : dtype, shape }, got);
  files.set('expected.npy', encodeNpy({ dtype: 'f64', shape: [...shape], data: want }));
  files.set('kernel.wgsl', wgsl.get(dispatch.kernel)!);
  files.set('region.ir', printGraph(graph));
  const folder = folderOf(dir, dispatch.kernel);
  writeFolder(folder, files, CHECK);
  return folder;
}
