/** ditc as a contender: one entry, compiled for the device, its weights and inputs on it. */
import type { EntryFunction } from '../../compiler/dsl/model.ts';
import type { Artefact } from '../../compiler/emit/artefact.ts';
import { compileModel, type ModelOptions } from '../../compiler/compile.ts';
import { Program, type OpenDevice } from '../../runtime/index.ts';
import type { Contender } from './measure.ts';

export type Compiling = Partial<Omit<ModelOptions, 'name' | 'source' | 'entries'>>;

export function compileEntry(open: OpenDevice, entry: EntryFunction, options: Compiling = {}): Artefact {
  const model = { config: {}, entries: { main: entry } };
  return compileModel(model, {
    device: open.spec,
    entryOptions: { batch: 1 },
    ...options,
    name: 'bench',
    source: 'bench',
  });
}

/** The compiled entry `main` on the device. `data` has its inputs and parameters by name. */
export async function loadEntry(
  open: OpenDevice,
  artefact: Artefact,
  data: (name: string, shape: readonly number[]) => Float32Array | Int32Array,
): Promise<Program> {
  const program = await Program.create(open.device, artefact);
  for (const { name, shape } of artefact.manifest.entries.main.inputs) program.write(name, data(name, shape));
  for (const { name, shape } of artefact.manifest.params) await program.setParam(name, data(name, shape));
  return program;
}

export const contender = (name: string, program: Program): Contender => ({
  name,
  submit: () => program.run('main'),
  finish: () => program.sync(),
});
