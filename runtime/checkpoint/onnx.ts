/** The weights of an ONNX network as a checkpoint; those in a file beside it are read from there. */
import { RuntimeError } from '../error.ts';
import { isWeight, modelNames } from '../onnx/names.ts';
import { parseOnnx } from '../onnx/parse.ts';
import { externalRange, tensorOf, type OnnxTensor } from '../onnx/tensor.ts';
import { MemorySource, type ByteSource, type TensorFile } from './source.ts';
import { StoredTensorFile, type StoredTensor } from './stored.ts';

/** Opens a file by its path from the folder of another. */
export type OpenBeside = (location: string) => Promise<ByteSource>;

/** On success the file owns `source` and what it opened beside it. */
export async function openOnnx(source: ByteSource, openBeside: OpenBeside = alone(source)): Promise<TensorFile> {
  const { graph } = parseOnnx(await source.read(0, source.size), source.name);
  const { weights } = modelNames(graph);
  const files = new Map<string, ByteSource>();
  const close = async () => {
    for (const file of files.values()) await file.close();
  };
  const stored = new Map<string, StoredTensor>();
  try {
    for (const proto of graph.initializer.filter(isWeight)) {
      const tensor = tensorOf(proto, source.name);
      const name = weights.get(tensor.name)!;
      stored.set(name, { ...(await placeOf(tensor, source.name, files, openBeside)), name });
    }
  } catch (error) {
    await close();
    throw error;
  }
  const { name, size } = source;
  const read: ByteSource['read'] = (offset, length) => source.read(offset, length);
  const all: ByteSource = { name, size, read, close: async () => (await close(), source.close()) };
  return new StoredTensorFile(all, stored, {});
}

async function placeOf(
  tensor: OnnxTensor,
  where: string,
  files: Map<string, ByteSource>,
  openBeside: OpenBeside,
): Promise<StoredTensor> {
  const { name, dtype, data } = tensor;
  const shape = [...tensor.shape];
  if (data instanceof Uint8Array) return { name, dtype, shape, source: new MemorySource(where, data), byteOffset: 0 };
  const beside = files.get(data.location) ?? (await openBeside(data.location));
  files.set(data.location, beside);
  return { name, dtype, shape, source: beside, byteOffset: externalRange(tensor, where, beside.size).offset };
}

const alone =
  (source: ByteSource) =>
  async (location: string): Promise<ByteSource> => {
    const why = `they lie in ${location}, and it was not opened as a file of a folder`;
    throw new RuntimeError({
      code: 'not-found',
      where: source.name,
      what: 'its weights are not in it',
      why,
      fix: 'give its path',
    });
  };
