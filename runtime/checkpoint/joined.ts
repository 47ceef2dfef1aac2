/** Several files as one that has the tensors of all. */
import { RuntimeError, quote } from '../error.ts';
import { type TensorFile, type TensorInfo } from './source.ts';

/** Closing it closes them. @throws RuntimeError `bad-format` for a tensor that two of them have. */
export function joinFiles(name: string, files: readonly TensorFile[]): TensorFile {
  const owner = new Map<string, TensorFile>();
  const tensors = new Map<string, TensorInfo>();
  const unread = new Map<string, string>();
  for (const file of files) {
    for (const tensor of [...file.tensors.keys(), ...(file.unread?.keys() ?? [])]) {
      const first = owner.get(tensor);
      if (first) throw twice(name, tensor, first, file);
      owner.set(tensor, file);
    }
    for (const [tensor, info] of file.tensors) tensors.set(tensor, info);
    for (const [tensor, what] of file.unread ?? []) unread.set(tensor, what);
  }
  const of = (tensor: string): TensorFile => {
    const file = owner.get(tensor);
    if (file) return file;
    throw new RuntimeError({ code: 'not-found', where: name, what: `there is no tensor ${quote(tensor)}` });
  };
  return {
    name,
    tensors,
    unread,
    metadata: Object.assign(Object.create(null), ...files.map(({ metadata }) => metadata)) as Record<string, string>,
    readF32Chunks: (tensor, chunk) => of(tensor).readF32Chunks(tensor, chunk),
    readF32Range: async (tensor, first, count) => of(tensor).readF32Range(tensor, first, count),
    readF32: async (tensor) => of(tensor).readF32(tensor),
    readI32: async (tensor) => of(tensor).readI32(tensor),
    readRaw: (tensor, first, count) => of(tensor).readRaw(tensor, first, count),
    close: async () => {
      await Promise.all(files.map((file) => file.close()));
    },
  };
}

function twice(where: string, tensor: string, first: TensorFile, second: TensorFile): RuntimeError {
  const why = `${first.name} and ${second.name} both have it`;
  const fix = 'take files of one checkpoint only: remove those that are left from another';
  return new RuntimeError({ code: 'bad-format', where, what: `the tensor ${quote(tensor)} is there twice`, why, fix });
}
