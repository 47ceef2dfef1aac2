/** Tensors to be written, whatever the format: names once, values as many as the shape holds. */
import { RuntimeError, quote } from '../error.ts';
import { DTYPE_BYTES, elementCount } from './dtype.ts';
import type { Values } from './encode.ts';
import type { TensorInfo } from './source.ts';

/** A tensor to write. */
export interface TensorToWrite extends TensorInfo {
  /**
   * The values in row-major order, in chunks of any size; called once, when the tensor's turn has come. They are
   * converted to `dtype` (f16 and bf16 round to nearest even). A Uint8Array holds bytes already encoded.
   */
  chunks(): AsyncIterable<Values> | Iterable<Values>;
}

export function badTensor(name: string, what: string, why: string, fix: string): RuntimeError {
  return new RuntimeError({ code: 'bad-argument', where: `tensor ${quote(name)}`, what, why, fix });
}

/** @throws RuntimeError `bad-argument` for a name that is taken, or a shape that is none. */
export function checkTensors(tensors: readonly TensorToWrite[], taken: readonly string[] = []): void {
  const seen = new Set(taken);
  for (const { name, shape } of tensors) {
    if (seen.has(name)) throw badTensor(name, 'the name is taken', 'names must be unique', 'rename one of the tensors');
    seen.add(name);
    if (!Number.isSafeInteger(elementCount(shape)))
      throw badTensor(name, `the shape is [${shape}]`, 'sizes must be non-negative integers', 'check the shape');
  }
}

/** The encoded chunks of a tensor. @throws RuntimeError `bad-argument` unless they are as many bytes as its shape holds. */
export async function* inShape(
  tensor: TensorToWrite,
  encode: (values: Values, where: string) => Uint8Array,
): AsyncGenerator<Uint8Array> {
  const expected = elementCount(tensor.shape) * DTYPE_BYTES[tensor.dtype];
  let written = 0;
  const check = (complete: boolean) => {
    if (complete ? written === expected : written <= expected) return;
    const why = `shape [${tensor.shape}] of ${tensor.dtype} takes ${expected} bytes, its values took ${written}`;
    throw badTensor(tensor.name, 'values and shape disagree', why, 'pass exactly as many values as the shape holds');
  };
  for await (const values of tensor.chunks()) {
    const bytes = encode(values, `tensor ${quote(tensor.name)}`);
    written += bytes.length;
    check(false);
    yield bytes;
  }
  check(true);
}
