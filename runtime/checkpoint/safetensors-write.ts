/**
 * safetensors writer. The header needs only names, dtypes and shapes, so it is written first and the values are pulled
 * tensor by tensor afterwards: a 2.7 GB model passes through a few megabytes of memory.
 */
import { RuntimeError } from '../error.ts';
import { DTYPE_BYTES, elementCount } from './dtype.ts';
import { encodeValues } from './encode.ts';
import { MAX_HEADER_BYTES, SAFETENSORS_DTYPES } from './safetensors.ts';
import { badTensor, checkTensors, inShape, type TensorToWrite } from './tensor-write.ts';

export type { TensorToWrite } from './tensor-write.ts';

/** The 8-byte length and the JSON, padded with spaces so that the data begins at a multiple of 8. */
function encodeHeader(ordered: readonly TensorToWrite[], metadata: Readonly<Record<string, string>>): Uint8Array {
  const entries: string[] = [];
  checkTensors(ordered, ['__metadata__']);
  // Assembled as text: an object would move integer-like names to the front and trip over `__proto__`.
  const pairs = Object.entries(metadata).map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`);
  if (pairs.length > 0) entries.push(`"__metadata__":{${pairs.join(',')}}`);
  let at = 0;
  for (const { name, dtype, shape } of ordered) {
    const bytes = elementCount(shape) * DTYPE_BYTES[dtype];
    if (!Number.isSafeInteger(at + bytes)) {
      throw badTensor(name, `the shape is [${shape}]`, 'sizes must be non-negative integers', 'check the shape');
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
    const encoded = inShape(tensor, (values, where) => encodeValues(tensor.dtype, values, where));
    for await (const bytes of encoded) await write(bytes);
  }
}
