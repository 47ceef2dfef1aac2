/** Tensors in one file, or in several beside an index that names the file of each, as the tools of Hugging Face write them. */
import { rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { DTYPE_BYTES, elementCount } from '../../runtime/checkpoint/dtype.ts';
import type { TensorToWrite } from '../../runtime/checkpoint/tensor-write.ts';
import { shardName } from '../../runtime/data/encoded.ts';
import { writeAtomically } from '../../runtime/node/file.ts';

type Tensors = readonly TensorToWrite[];

const bytesOf = ({ dtype, shape }: TensorToWrite): number => elementCount(shape) * DTYPE_BYTES[dtype];

export const bytesOfAll = (tensors: Tensors): number => tensors.reduce((sum, tensor) => sum + bytesOf(tensor), 0);

/** The tensors in parts of at most `most` bytes, in order. One that is larger has a part of its own. */
function divide(tensors: Tensors, most: number): Tensors[] {
  const parts: TensorToWrite[][] = [];
  let left = 0;
  for (const tensor of tensors) {
    const size = bytesOf(tensor);
    if (!parts.length || size > left) {
      parts.push([]);
      left = most;
    }
    parts.at(-1)!.push(tensor);
    left -= size;
  }
  return parts;
}

/** The files that tensors go to, and what of them each has: `path` itself where they fit into it. */
export function shardsOf(path: string, tensors: Tensors, most = Infinity): ReadonlyMap<string, Tensors> {
  const parts = divide(tensors, most);
  if (parts.length <= 1) return new Map([[path, tensors]]);
  const stem = basename(path).replace(/\.safetensors$/i, '');
  return new Map(parts.map((part, i) => [join(dirname(path), shardName(stem, i, parts.length)), part]));
}

export const indexOf = (path: string): string => `${path}.index.json`;

/** Writes the files, and last the index, by which they are found. Where one fails, none of them stays. */
export async function writeShards(
  path: string,
  shards: ReadonlyMap<string, Tensors>,
  write: (path: string, tensors: Tensors) => Promise<void>,
): Promise<void> {
  const written: string[] = [];
  try {
    for (const [file, tensors] of shards) {
      await write(file, tensors);
      written.push(file);
    }
    if (shards.has(path)) return;
    const files = [...shards].flatMap(([file, tensors]) => tensors.map(({ name }) => [name, basename(file)] as const));
    const size = bytesOfAll([...shards.values()].flat());
    const index = { metadata: { total_size: size }, weight_map: Object.fromEntries(files) };
    const text = `${JSON.stringify(index, null, 2)}\n`;
    await writeAtomically(indexOf(path), (sink) => sink(new TextEncoder().encode(text)));
  } catch (error) {
    for (const file of written) rmSync(file, { force: true });
    throw error;
  }
}
