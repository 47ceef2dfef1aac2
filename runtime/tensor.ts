/** Tensors as a program hands them over and gets them back: checked against what the artefact declares, and converted where nothing is lost. */
import type { TensorSpec } from '../compiler/emit/artefact.ts';
import { countOf } from './buffers.ts';
import { RuntimeError } from './error.ts';
import { kindOf, shown } from './values.ts';
import type { Values } from './transfer.ts';

/** What elements are: `f32`, `f16`, `i32`, `u32` or `bool`. */
export type DType = TensorSpec['dtype'];

/** The array that holds a tensor's values on the host, row by row. */
export type ArrayOf<D extends DType> = D extends 'f32' | 'f16'
  ? Float32Array
  : D extends 'i32'
    ? Int32Array
    : D extends 'u32' | 'bool'
      ? Uint32Array
      : never;

/** A tensor: its values row by row, its shape and its type. */
export interface Tensor<D extends DType = DType, Shape extends readonly number[] = readonly number[]> {
  /** Row by row. */
  readonly data: ArrayOf<D>;
  /** Sizes of its axes; [] of a single number. */
  readonly shape: Shape;
  /** What it is on the device; f16 comes as a Float32Array. */
  readonly dtype: D;
}

/** Numbers in as many brackets as the tensor has axes, or in one. */
export type Numbers = number | boolean | readonly Numbers[];

/** What is taken for a tensor: an array of its own type, plain numbers, or a tensor as a run gives it. */
export type TensorLike<D extends DType = DType, Shape extends readonly number[] = readonly number[]> =
  ArrayOf<D> | Numbers | Tensor<D, Shape>;

const ARRAYS = { f32: Float32Array, f16: Float32Array, i32: Int32Array, u32: Uint32Array, bool: Uint32Array } as const;

/** `f32[1, 4, 32, 32]` */
export const typeText = ({ dtype, shape }: Pick<TensorSpec, 'dtype' | 'shape'>): string =>
  `${dtype}[${shape.join(', ')}]`;

/** The values of a tensor as a program takes them. `name` is what errors call it. @throws RuntimeError `mismatch`. */
export function valuesOf(spec: TensorSpec, given: unknown, name = spec.name): Values {
  if (ArrayBuffer.isView(given)) return typedValues(spec, given, name);
  if (isTensor(given)) return tensorValues(spec, given, name);
  if (typeof given === 'number' || typeof given === 'boolean') return plainValues(spec, [given], name);
  if (!Array.isArray(given)) throw mismatch(spec, name, `it was given as ${kindOf(given)}`);
  const nested = given.some(Array.isArray) ? shapeOf(given) : undefined;
  if (nested && nested.join() !== spec.shape.join())
    throw mismatch(spec, name, `the brackets are [${nested.join(', ')}]`);
  if (nested && !isOfShape(given, nested)) throw mismatch(spec, name, 'not all of its brackets hold as many');
  return plainValues(spec, nested ? (given.flat(Infinity) as unknown[]) : given, name);
}

/** Values read back, with what they are. */
export const tensorOf = ({ shape, dtype }: TensorSpec, values: Values): Tensor => ({
  data: values,
  shape: [...shape],
  dtype,
});

function typedValues(spec: TensorSpec, given: ArrayBufferView, name: string): Values {
  const type = ARRAYS[spec.dtype];
  if (!(given instanceof type)) throw mismatch(spec, name, `it was given as ${kindOf(given)}`);
  checkCount(spec, given.length, name);
  return given;
}

function tensorValues(spec: TensorSpec, { data, shape, dtype }: Tensor, name: string): Values {
  const other = dtype !== spec.dtype || shape.join() !== spec.shape.join();
  if (other) throw mismatch(spec, name, `it was given ${typeText({ dtype, shape })}`);
  return valuesOf(spec, data, name);
}

function plainValues(spec: TensorSpec, given: readonly unknown[], name: string): Values {
  checkCount(spec, given.length, name);
  const fits = FITS[spec.dtype];
  const wrong = given.findIndex((value) => !fits(value));
  if (wrong >= 0) throw mismatch(spec, name, `element ${wrong} is ${shown(given[wrong])}`);
  return Reflect.construct(ARRAYS[spec.dtype], [given.map(Number)]) as Values;
}

const whole = (value: unknown, least: number, most: number): boolean =>
  Number.isInteger(value) && (value as number) >= least && (value as number) <= most;

/** Whether a plain value is one of a tensor's. */
const FITS: Record<DType, (value: unknown) => boolean> = {
  f32: (value) => typeof value === 'number',
  f16: (value) => typeof value === 'number',
  i32: (value) => whole(value, -(2 ** 31), 2 ** 31 - 1),
  u32: (value) => whole(value, 0, 2 ** 32 - 1),
  bool: (value) => typeof value === 'boolean' || whole(value, 0, 1),
};

function checkCount(spec: TensorSpec, given: number, name: string): void {
  if (given !== countOf(spec)) throw mismatch(spec, name, `it was given ${given} value${given === 1 ? '' : 's'}`);
}

function mismatch(spec: TensorSpec, name: string, why: string): RuntimeError {
  const count = countOf(spec);
  const range = { f32: 'numbers', f16: 'numbers', i32: 'whole numbers', u32: 'whole numbers from 0', bool: 'booleans' };
  const fix = `give ${article(ARRAYS[spec.dtype].name)} of ${count} value${count === 1 ? '' : 's'}, or an array of ${range[spec.dtype]}`;
  return new RuntimeError({ code: 'mismatch', what: `${name} is ${typeText(spec)}`, why, fix });
}

const article = (word: string): string => `${/^[AEIOU]/.test(word) ? 'an' : 'a'} ${word}`;

function isTensor(given: unknown): given is Tensor {
  const { data, shape, dtype } = (given ?? {}) as Partial<Tensor>;
  return ArrayBuffer.isView(data) && Array.isArray(shape) && typeof dtype === 'string';
}

/** The shape of nested arrays, as their first elements have it. */
const shapeOf = (given: unknown): number[] => (Array.isArray(given) ? [given.length, ...shapeOf(given[0])] : []);

function isOfShape(given: unknown, [length, ...inner]: readonly number[]): boolean {
  if (!Array.isArray(given)) return length === undefined;
  return given.length === length && given.every((part) => isOfShape(part, inner));
}
