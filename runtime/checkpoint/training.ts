/**
 * Where a training is, as a safetensors file: all parameters and states as they are on the device, bit by bit, and in the metadata the
 * record of what is being trained on what.
 */
import type { TensorSpec } from '../../compiler/emit/artefact.ts';
import { countOf } from '../buffers.ts';
import { quote, RuntimeError } from '../error.ts';
import type { Program } from '../program.ts';
import type { Values } from '../transfer.ts';
import type { OnWeights } from '../weights.ts';
import { isFloat } from './dtype.ts';
import { matchParameters } from './match.ts';
import { writeSafetensors, type TensorToWrite } from './safetensors-write.ts';
import type { TensorFile } from './source.ts';

/** The name of the record among the file's metadata. */
export const RECORD = 'ditc.training';

/** Parameters and states by their names in the file. */
const tensorsOf = (program: Program) => [
  ...program.manifest.params.map((spec) => ({ kind: 'param' as const, spec, name: `param/${spec.name}` })),
  ...program.states.map((spec) => ({ kind: 'state' as const, spec, name: `state/${spec.name}` })),
];

/** Unsigned words are kept as the i32 of the same bits: the format has no u32 that all readers know. */
const storedAs = ({ dtype }: TensorSpec) => (dtype === 'u32' || dtype === 'bool' ? 'i32' : dtype);

/** Writes it all through `write`, in order. `check` sees every tensor. */
export async function writeTraining(
  write: (bytes: Uint8Array) => Promise<void>,
  program: Program,
  record: object,
  check: (values: Values, spec: TensorSpec) => void = () => {},
): Promise<void> {
  const tensors = tensorsOf(program).map(({ kind, spec, name }): TensorToWrite => ({
    name,
    dtype: storedAs(spec),
    shape: [...spec.shape],
    async *chunks() {
      const values = await (kind === 'param' ? program.readParam(spec.name) : program.readState(spec.name));
      check(values, spec);
      yield values instanceof Uint32Array ? new Int32Array(values.buffer, values.byteOffset, values.length) : values;
    },
  }));
  await writeSafetensors(write, tensors, { [RECORD]: JSON.stringify(record) });
}

/** @throws RuntimeError `mismatch` unless the file holds all parameters and states: their names, shapes and kinds of numbers. */
export function checkCheckpoint(program: Program, file: TensorFile): void {
  const tensors = tensorsOf(program);
  matchParameters(
    file,
    tensors.map(({ name, spec }) => ({ name, shape: spec.shape })),
  );
  for (const { name, spec } of tensors) {
    const [found, own] = [file.tensors.get(name)?.dtype, storedAs(spec)];
    if (found === undefined || (own === 'i32' ? found === own : isFloat(found))) continue;
    const fix = 'give a checkpoint as a training saved it';
    const what = `${quote(name)} is ${found}, not ${own}`;
    throw new RuntimeError({ code: 'mismatch', where: file.name, what, fix });
  }
}

/** Sets all parameters and states. @throws RuntimeError `mismatch`, before anything is set, when tensors differ. */
export async function loadCheckpoint(
  program: Program,
  file: TensorFile,
  onProgress: OnWeights = () => {},
): Promise<void> {
  checkCheckpoint(program, file);
  const tensors = tensorsOf(program);
  const total = tensors.reduce((sum, { spec }) => sum + countOf(spec), 0);
  let done = 0;
  for (const { kind, spec, name } of tensors) {
    const values = await chunksOf(file, name, spec);
    if (kind === 'param') await program.setParam(spec.name, values);
    else await program.setState(spec.name, values);
    onProgress({ name: spec.name, done: (done += countOf(spec)), total });
  }
}

async function chunksOf(file: TensorFile, name: string, spec: TensorSpec): Promise<AsyncIterable<Values> | Values> {
  if (storedAs(spec) !== 'i32') return file.readF32Chunks(name);
  const values = await file.readI32(name);
  return spec.dtype === 'i32' ? values : new Uint32Array(values.buffer, values.byteOffset, values.length);
}
