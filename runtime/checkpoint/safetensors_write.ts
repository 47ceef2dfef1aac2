/**
 * safetensors writer. The header needs only names, dtypes and shapes, so it is written first and the values are pulled
 * tensor by tensor afterwards: a 2.7 GB model passes through a few megabytes of memory.
 */
import { RuntimeError, quote } from '../error.ts';
import { DTYPE_BYTES, elementCount } from './dtype.ts';
import { encodeValues } from './encode.ts';
import type { Values } from './encode.ts';
import { MAX_HEADER_BYTES, SAFETENSORS_DTYPES } from './safetensors.ts';
import type { TensorInfo } from './source.ts';

/** A tensor to write. */
export interface TensorToWrite extends TensorInfo {
  /**
   * The values in row-major order, in chunks of any size; called once, when the tensor's turn has come. They are
   * converted to `dtype` (f16 and bf16 round to nearest even). A Uint8Array holds bytes already encoded.
   */
  chunks(): AsyncIterable<Values> | Iterable<Values>;
}

function bad(name: string, what: string, why: string, fix: string): RuntimeError {
  return new RuntimeError({ code: 'bad-argument', where: `tensor ${quote(name)}`, what, why, fix });
}

/** The 8-byte length and the JSON, padded with spaces so that the data begins at a multiple of 8. */
function encodeHeader(ordered: readonly TensorToWrite[], metadata: Readonly<Record<string, string>>): Uint8Array {
  const entries: string[] = [];
  const seen = new Set<string>(['__metadata__']);
  // Assembled as text: an object would move integer-like names to the front and trip over `__proto__`.
  const pairs = Object.entries(metadata).map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`);
  if (pairs.length > 0) entries.push(`"__metadata__":{${pairs.join(',')}}`);
  let at = 0;
  for (const { name, dtype, shape } of ordered) {
    if (seen.has(name)) throw bad(name, 'the name is taken', 'names must be unique', 'rename one of the tensors');
    seen.add(name);
    const bytes = elementCount(shape) * DTYPE_BYTES[dtype];
    if (!Number.isSafeInteger(at + bytes)) {
      throw bad(name, `the shape is [${shape}]`, 'sizes must be non-negative integers', 'check the shape');
    }
    const value = { dtype: SAFETENSORS_DTYPES[dtype], shape, data_offsets: [at, at + bytes] };
    entries.push(`${JSON.stringify(name)}:${JSON.stringify(value)}`);
    at += bytes;
  }
  const json = new TextEncoder().encode(`{${entries.join(',')}}`);
  const length = Math.ceil(json.length / 8) * 8;
  if (length > MAX_HEADER_BYTES) {
    const why = `it may take ${MAX_HEADER_BYTES} bytes`;
    throw new RuntimeError({
      code: 'limit',
      what: `the header takes ${length} bytes`,
      why,
      fix: 'write several files',
    });
  }
  const out = new Uint8Array(8 + length).fill(0x20);
  new DataView(out.buffer).setBigUint64(0, BigInt(length), true);
  out.set(json, 8);
  return out;
}

/**
 * Writes a safetensors file through `write`, in order. Tensors are laid out by element size, largest first (as the
 * reference writer does), so that each is aligned; equal sizes keep the order given. Same input, same bytes.
 * @throws RuntimeError when a name repeats or a tensor's chunks do not add up to its shape.
 */
export async function writeSafetensors(
  write: (bytes: Uint8Array) => Promise<void>,
  tensors: readonly TensorToWrite[],
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  const ordered = [...tensors].sort((a, b) => DTYPE_BYTES[b.dtype] - DTYPE_BYTES[a.dtype]);
  await write(encodeHeader(ordered, metadata));
  for (const tensor of ordered) {
    const expected = elementCount(tensor.shape) * DTYPE_BYTES[tensor.dtype];
    let written = 0;
    const check = (complete: boolean) => {
      if (complete ? written === expected : written <= expected) return;
      const why = `shape [${tensor.shape}] of ${tensor.dtype} takes ${expected} bytes, its values took ${written}`;
      throw bad(tensor.name, 'values and shape disagree', why, 'pass exactly as many values as the shape holds');
    };
    for await (const values of tensor.chunks()) {
      const bytes = encodeValues(tensor.dtype, values, `tensor ${quote(tensor.name)}`);
      written += bytes.length;
      check(false);
      await write(bytes);
    }
    check(true);
  }
}
