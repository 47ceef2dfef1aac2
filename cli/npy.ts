/** `.npy` files as inputs of an entry: read, checked and converted where nothing is lost that f32 and i32 could hold. */
import type { TensorSpec } from '../compiler/emit/artefact.ts';
import { DitcError } from '../compiler/ir/error.ts';
import { encodeNpy, npyToF32, npyToI32, parseNpy, type NpyArray } from '../runtime/checkpoint/npy.ts';
import { openFile, writeAtomically } from '../runtime/node/file.ts';
import type { Values } from '../runtime/weights.ts';

export async function readNpy(path: string): Promise<NpyArray> {
  const source = await openFile(path);
  try {
    return parseNpy(await source.read(0, source.size), path);
  } finally {
    await source.close();
  }
}

const NUMPY_TYPES: Record<TensorSpec['dtype'], string> = {
  f32: 'float32',
  f16: 'float16',
  i32: 'int32',
  u32: 'int64',
  bool: 'bool',
};

/** `x f32[1, 4, 32, 32]` */
export const describe = ({ name, dtype, shape }: TensorSpec): string => `${name} ${dtype}[${shape.join(', ')}]`;

/** The array as the values of an input. `batch` is what the entry was built for, for the hint. */
export function inputValues(spec: TensorSpec, array: NpyArray, path: string, batch: number): Values {
  const { dtype, shape } = array;
  const fail = (why: string, fix: string) =>
    new DitcError({ code: 'input', where: path, what: `it does not fit the input ${describe(spec)}`, why, fix });
  if (shape.join() !== spec.shape.join()) {
    const otherBatch = shape.length === spec.shape.length && shape.slice(1).join() === spec.shape.slice(1).join();
    const isBatch = otherBatch && spec.shape[0] === batch;
    const fix = isBatch ? `run it with --batch ${shape[0]}` : `save an array of shape (${spec.shape.join(', ')})`;
    throw fail(`the file holds ${dtype}[${shape.join(', ')}]`, fix);
  }
  const cast = `convert it: array.astype(numpy.${NUMPY_TYPES[spec.dtype]})`;
  const floats = dtype === 'f32' || dtype === 'f64' || dtype === 'f16';
  if (spec.dtype === 'f32' || spec.dtype === 'f16') {
    const values = npyToF32(array);
    // A whole number that f32 rounds is another number; a float64 that it rounds is the same one, less precisely.
    const lost = floats ? -1 : values.findIndex((value, i) => Number(array.data[i]) !== value);
    if (lost >= 0) throw fail(`element ${lost} is ${array.data[lost]}, which f32 cannot hold`, 'scale the values down');
    return values;
  }
  if (floats) throw fail(`the file holds ${dtype}, and fractions would be lost`, cast);
  if (spec.dtype === 'i32') return npyToI32(array, path);
  const most = spec.dtype === 'bool' ? 1 : 2 ** 32 - 1;
  const values = Uint32Array.from(array.data as Int32Array, Number);
  const wrong = values.findIndex((value, i) => Number(array.data[i]) !== value || value > most);
  if (wrong >= 0) throw fail(`element ${wrong} is ${array.data[wrong]}`, `give whole numbers from 0 to ${most}`);
  return values;
}

/** Values as an array to be saved: u32 as int64, bool as bool. */
export function npyOf({ shape, dtype }: Omit<TensorSpec, 'name'>, values: Values): NpyArray {
  if (dtype === 'u32') return { dtype: 'i64', shape: [...shape], data: BigInt64Array.from(values, BigInt) };
  if (dtype === 'bool') return { dtype: 'bool', shape: [...shape], data: Uint8Array.from(values) };
  return { dtype: dtype === 'i32' ? 'i32' : 'f32', shape: [...shape], data: values as Float32Array | Int32Array };
}

/** Writes values as `.npy`, whole or not at all. */
export async function writeNpy(path: string, spec: TensorSpec, values: Values): Promise<void> {
  await writeAtomically(path, (write) => write(encodeNpy(npyOf(spec, values), path)));
}
