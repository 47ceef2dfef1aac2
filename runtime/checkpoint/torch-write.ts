/**
 * PyTorch `.pt` writer: a state dict as torch.save writes it. Values are pulled tensor by tensor: a 2.7 GB model passes through a
 * few megabytes of memory.
 */
import { DTYPE_BYTES, elementCount, type DType } from './dtype.ts';
import { encodeValues } from './encode.ts';
import { checkTensors, inShape, type TensorToWrite } from './tensor-write.ts';
import { PickleWriter } from './pickle-write.ts';
import { rowMajorStrides } from './strided.ts';
import { STORAGES, TORCH_NAMES } from './torch-pickle.ts';
import { writeZip, zipFile, type ZipFile } from './zip-write.ts';

/** PyTorch maps storages at such places into memory. */
const ALIGNMENT = 64;
const ROOT = 'archive';

/** Bytes whose type the tensor tells: of dtypes that have no storage of their own. */
const isUntyped = (dtype: DType): boolean => STORAGES[dtype] === undefined;

function pickled(tensors: readonly TensorToWrite[]): Uint8Array {
  const storage = (to: PickleWriter, { dtype, shape }: TensorToWrite, key: number) => {
    const count = elementCount(shape);
    const bytes = isUntyped(dtype);
    to.tuple(() => {
      to.text('storage');
      if (bytes) to.global('torch.storage', 'UntypedStorage');
      else to.global('torch', STORAGES[dtype]!);
      to.text(String(key))
        .text('cpu')
        .count(bytes ? count * DTYPE_BYTES[dtype] : count);
    }).persistent();
  };
  const out = new PickleWriter();
  out.orderedDict(() => {
    tensors.forEach((tensor, key) => {
      const { name, dtype, shape } = tensor;
      out.text(name).global('torch._utils', isUntyped(dtype) ? '_rebuild_tensor_v3' : '_rebuild_tensor_v2');
      out.tuple(() => {
        storage(out, tensor, key);
        out.count(0).counts(shape).counts(rowMajorStrides(shape)).false().orderedDict();
        if (isUntyped(dtype)) out.global('torch', TORCH_NAMES[dtype]);
      });
      out.call();
    });
  });
  return out.end();
}

/**
 * Writes a `.pt` file through `write`, in order. Same input, same bytes.
 * @throws RuntimeError when a name repeats or a tensor's chunks do not add up to its shape.
 */
export async function writeTorch(
  write: (bytes: Uint8Array) => Promise<void>,
  tensors: readonly TensorToWrite[],
): Promise<void> {
  checkTensors(tensors);
  const text = (name: string, content: string) => zipFile(`${ROOT}/${name}`, new TextEncoder().encode(content));
  const storages = tensors.map((tensor, key): ZipFile => ({
    name: `${ROOT}/data/${key}`,
    size: elementCount(tensor.shape) * DTYPE_BYTES[tensor.dtype],
    chunks: () => inShape(tensor, (values, where) => encodeValues(tensor.dtype, values, where)),
  }));
  const files = [
    zipFile(`${ROOT}/data.pkl`, pickled(tensors)),
    text('byteorder', 'little'),
    ...storages,
    text('version', '3\n'),
  ];
  await writeZip(write, files, { align: ALIGNMENT });
}
