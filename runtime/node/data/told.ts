/** What a model is told of each example, from files: rows of `.npy`, `.npz` or `.safetensors`, read as they are needed. */
import { createHash } from 'node:crypto';
import { basename } from 'node:path';
import type { InputSpec } from '../../../compiler/emit/artefact.ts';
import { decodeI32 } from '../../checkpoint/dtype.ts';
import type { TensorFile, TensorInfo } from '../../checkpoint/source.ts';
import { badExample } from '../../data/dataset.ts';
import type { ToldOfExamples } from '../../data/told.ts';
import { quote, RuntimeError } from '../../error.ts';
import { outOfRange } from '../../values.ts';
import { openTensorFile } from './tensors.ts';
import type { Values } from '../../transfer.ts';

/** The rows of one input. */
interface Rows {
  readonly input: InputSpec;
  readonly file: TensorFile;
  readonly info: TensorInfo;
}

/**
 * A row of each input for each of `count` examples, in their order, or one for all. `inputs` are those of `trainStep` that
 * examples have rows of (`toldInputs`), and `paths` has a file for each.
 * @throws RuntimeError `mismatch` for rows of another shape, `not-found` for a file without them, and what the files' readers throw.
 */
export async function openTold(
  inputs: readonly InputSpec[],
  paths: ReadonlyMap<string, string>,
  count: number,
): Promise<ToldOfExamples> {
  const files: TensorFile[] = [];
  const close = async () => void (await Promise.all(files.map((file) => file.close())));
  try {
    const rows: Rows[] = [];
    for (const input of inputs) {
      const file = await openTensorFile(paths.get(input.name)!);
      files.push(file);
      rows.push({ input, file, info: checkRows(input, file, count) });
    }
    return {
      names: inputs.map(({ name }) => name),
      fingerprint: fingerprintOf(rows),
      read: async (index) =>
        Object.fromEntries(
          await Promise.all(rows.map(async (row) => [row.input.name, await readRow(row, index)] as const)),
        ),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** The tensor of the input's name, or the only one, where it has the rows. */
function checkRows({ name, shape: [, ...row], dtype }: InputSpec, file: TensorFile, count: number): TensorInfo {
  const { tensors, name: where } = file;
  const info = tensors.get(name) ?? (tensors.size === 1 ? [...tensors.values()][0] : undefined);
  if (!info) {
    const names = [...tensors.keys()].slice(0, 6).map((held) => quote(held));
    const why = `its tensors are ${names.join(', ') || 'none'}`;
    const fix = `save it as ${name}`;
    throw new RuntimeError({ code: 'not-found', where, what: `it has no tensor ${quote(name)}`, why, fix });
  }
  const wanted = `[${[count, ...row].join(', ')}]`;
  const fail = (why: string, fix: string) => {
    const what = `it does not fit the input ${name} ${dtype}${wanted}`;
    return new RuntimeError({ code: 'mismatch', where, what, why, fix });
  };
  const [rows, ...held] = info.shape;
  const holds = `the file holds ${info.dtype}[${info.shape.join(', ')}]`;
  if (held.join() !== row.join() || info.shape.length !== row.length + 1)
    throw fail(holds, `save an array of shape ${wanted}, or give the model the sizes of these`);
  if (rows !== count && rows !== 1)
    throw fail(
      `${holds}, and there are ${count} examples`,
      'give a row for each example in their order, or one for all',
    );
  const floats = ['f32', 'f16', 'bf16', 'f64'].includes(info.dtype);
  if (dtype === 'f32' && !floats) throw fail(holds, 'store it as float32');
  if (dtype !== 'f32' && floats) throw fail(holds, 'store it as int32');
  return info;
}

async function readRow({ input, file, info }: Rows, index: number): Promise<Values> {
  const [rows, ...shape] = info.shape;
  const size = shape.reduce((a, b) => a * b, 1);
  const first = (rows === 1 ? 0 : index) * size;
  const where = `row ${rows === 1 ? 0 : index} of ${info.name} in ${file.name}`;
  if (input.dtype === 'f32') {
    const values = await file.readF32Range(info.name, first, size);
    const wrong = values.findIndex((value) => !Number.isFinite(value));
    if (wrong >= 0) throw badExample(where, `element ${wrong} is ${values[wrong]}`);
    return values;
  }
  const values = new Int32Array(size);
  let at = 0;
  for await (const bytes of file.readRaw(info.name, first, size)) {
    const part = decodeI32(info.dtype, bytes, where, first + at);
    values.set(part, at);
    at += part.length;
  }
  const fault = outOfRange({ ...input, shape: [1, ...shape] }, values, where);
  if (fault) throw fault;
  return values;
}

/** Of names and shapes: the values may be more than anyone wants to read. */
function fingerprintOf(rows: readonly Rows[]): string {
  const hash = createHash('sha256');
  for (const { input, file, info } of rows)
    hash.update(`${input.name} ${basename(file.name)} ${info.dtype} ${info.shape}\n`);
  return hash.digest('hex').slice(0, 16);
}
