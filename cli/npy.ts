/** Arrays of NumPy as inputs of an entry, of any type that the entry can hold, and results as `.npy`. */
import type { InputSpec, TensorSpec } from '../compiler/emit/artefact.ts';
import { DitcError } from '../compiler/ir/error.ts';
import { decodeF32 } from '../runtime/checkpoint/dtype.ts';
import { encodeValues } from '../runtime/checkpoint/encode.ts';
import { encodeNpy, type NpyArray } from '../runtime/checkpoint/npy.ts';
import { readArray } from '../runtime/checkpoint/npz.ts';
import { openFile, writeAtomically } from '../runtime/node/file.ts';
import { checkRange, placeIn } from '../runtime/values.ts';
import type { Values } from '../runtime/transfer.ts';

/** The array in a `.npy` file, or the one called `name` in a `.npz`. */
export async function readNpy(path: string, name: string): Promise<NpyArray> {
  const source = await openFile(path);
  try {
    return await readArray(source, name);
  } finally {
    await source.close();
  }
}

/** `x f32[1, 4, 32, 32]` */
export const describe = ({ name, dtype, shape }: TensorSpec): string => `${name} ${dtype}[${shape.join(', ')}]`;

/** What an integer type holds, and NumPy's name for it. */
const WHOLE = {
  i32: { least: -(2 ** 31), most: 2 ** 31 - 1, array: Int32Array, numpy: 'int32' },
  u32: { least: 0, most: 2 ** 32 - 1, array: Uint32Array, numpy: 'uint32' },
  bool: { least: 0, most: 1, array: Uint32Array, numpy: 'bool' },
} as const;

/**
 * The array as the values of an input: exactly, but for fractions, which are rounded to the float type that the entry
 * takes. `batch` is what the entry was built for, for the hint.
 * @throws DitcError `input` naming the first value that does not fit; RuntimeError `out-of-range` for one that no table holds.
 */
export function inputValues(spec: InputSpec, array: NpyArray, path: string, batch: number): Values {
  const values = converted(spec, array, path, batch);
  checkRange(spec, values, path);
  return values;
}

function converted(spec: TensorSpec, array: NpyArray, path: string, batch: number): Values {
  const { dtype, shape, data } = array;
  const fail = (why: string, fix: string) =>
    new DitcError({ code: 'input', where: path, what: `it does not fit the input ${describe(spec)}`, why, fix });
  if (shape.join() !== spec.shape.join())
    throw fail(`the file holds ${dtype}[${shape.join(', ')}]`, shapeFix(spec, array, batch));
  const element = (i: number) => `${placeIn(shape, i)} is ${data[i]}`;
  if (spec.dtype === 'f32' || spec.dtype === 'f16') {
    const values = floats(data, spec.dtype);
    const isFloat = dtype === 'f32' || dtype === 'f64' || dtype === 'f16';
    // A whole number that is rounded is another number; a fraction that is rounded is the same one, less precisely.
    const lost = values.findIndex((value, i) => (isFloat ? overflowed(value, Number(data[i])) : !same(value, data[i])));
    if (lost >= 0) throw fail(`${element(lost)}, which ${spec.dtype} cannot hold`, 'scale the values down');
    return spec.dtype === 'f16' ? floats(data, 'f32') : values;
  }
  const { least, most, array: Type, numpy } = WHOLE[spec.dtype];
  const values = new Type(data.length);
  for (let i = 0; i < data.length; i++) values[i] = Number(data[i]);
  const wrong = values.findIndex((value, i) => !same(value, data[i]) || value < least || value > most);
  if (wrong < 0) return values;
  const isFraction = typeof data[wrong] === 'number' && data[wrong] % 1 !== 0 && Number.isFinite(data[wrong]);
  const range = `whole numbers from ${least} to ${most}`;
  const fix = isFraction ? `round them, to ${range}: numpy.rint(array).astype(numpy.${numpy})` : `give ${range}`;
  throw fail(`${element(wrong)}, which ${spec.dtype} cannot hold`, fix);
}

function floats(data: NpyArray['data'], dtype: 'f32' | 'f16'): Float32Array {
  const values = data instanceof Float32Array ? data : Float32Array.from(data as ArrayLike<number>, Number);
  return dtype === 'f32' ? values : decodeF32('f16', encodeValues('f16', values, 'f16'));
}

const overflowed = (value: number, from: number): boolean => !Number.isFinite(value) && Number.isFinite(from);

const same = (value: number, from: number | bigint): boolean =>
  typeof from === 'bigint' ? BigInt(value) === from : value === from;

function shapeFix(spec: TensorSpec, { shape, data }: NpyArray, batch: number): string {
  const otherBatch = shape.length === spec.shape.length && shape.slice(1).join() === spec.shape.slice(1).join();
  if (otherBatch && spec.shape[0] === batch && shape[0] > 0) return `run it with --batch ${shape[0]}`;
  const wanted = `(${spec.shape.join(', ')}${spec.shape.length === 1 ? ',' : ''})`;
  const asMany = data.length === spec.shape.reduce((a, b) => a * b, 1);
  return asMany ? `give it this shape: array.reshape(${wanted})` : `save an array of shape ${wanted}`;
}

/** Values as an array to be saved: bool as bool. */
export function npyOf({ shape, dtype }: Omit<TensorSpec, 'name'>, values: Values): NpyArray {
  if (dtype === 'bool') return { dtype: 'bool', shape: [...shape], data: Uint8Array.from(values) };
  return { dtype: dtype === 'f16' ? 'f32' : dtype, shape: [...shape], data: values };
}

/** Writes values as `.npy`, whole or not at all. */
export async function writeNpy(path: string, spec: TensorSpec, values: Values): Promise<void> {
  await writeAtomically(path, (write) => write(encodeNpy(npyOf(spec, values), path)));
}
