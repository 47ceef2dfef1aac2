/** Weights that a program holds already, as if they were a checkpoint: an object of arrays by parameter name. */
import type { ParamSpec } from '../../compiler/emit/artefact.ts';
import { RuntimeError } from '../error.ts';
import { valuesOf, type TensorLike } from '../tensor.ts';
import type { TensorFile, TensorInfo } from './source.ts';

export type GivenWeights = Readonly<Record<string, TensorLike>>;

/** Arrays are of the shape of the parameter they are for; names that are none stay, for whoever matches them to tell. */
export function givenTensors(weights: GivenWeights, params: readonly ParamSpec[]): TensorFile {
  const tensors = new Map<string, TensorInfo>();
  const values = new Map<string, Float32Array | Int32Array>();
  for (const [name, given] of Object.entries(weights)) {
    const param = params.find((spec) => spec.name === name || spec.aliases?.includes(name));
    const whole = param && param.dtype !== 'f32' && param.dtype !== 'f16';
    // Of f16 parameters the host holds f32, and of a pack of bits whole numbers.
    const spec = param && ({ ...param, dtype: whole ? 'i32' : 'f32' } as const);
    tensors.set(name, { name, dtype: spec?.dtype ?? 'f32', shape: [...(spec?.shape ?? shapeOf(given))] });
    if (spec) values.set(name, valuesOf(spec, widened(given), `weight ${name}`) as Float32Array | Int32Array);
  }
  const find = (name: string): Float32Array | Int32Array => {
    const found = values.get(name);
    if (found) return found;
    throw new RuntimeError({ code: 'not-found', what: `there is no weight ${name}` });
  };
  const floats = (name: string): Float32Array => Float32Array.from(find(name));
  return {
    name: 'weights',
    tensors,
    metadata: {},
    async *readF32Chunks(name, size = 2 ** 20) {
      const all = floats(name);
      for (let at = 0; at < all.length; at += size) yield all.subarray(at, at + size);
    },
    readF32Range: async (name, first, count) => floats(name).subarray(first, first + count),
    readF32: async (name) => floats(name),
    readI32: async (name) => Int32Array.from(find(name)),
    async *readRaw(name, first = 0, count) {
      const { buffer, byteOffset, byteLength } = find(name).slice(
        first,
        count === undefined ? undefined : first + count,
      );
      yield new Uint8Array(buffer, byteOffset, byteLength);
    },
    close: async () => {},
  };
}

/** What was read from a parameter is f16 by name only, and may be given again. */
const widened = (given: TensorLike): unknown =>
  typeof given === 'object' && 'dtype' in given && given.dtype === 'f16' ? { ...given, dtype: 'f32' } : given;

const shapeOf = (given: TensorLike): readonly number[] => {
  if (typeof given !== 'object') return [];
  if ('dtype' in given) return given.shape;
  return [(given as ArrayLike<unknown>).length];
};
