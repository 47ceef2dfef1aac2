/**
 * A checkpoint in several files: an index, `{"weight_map": {tensor: file}}`, names the file that each tensor is in, as the tools of
 * Hugging Face write it (`model.safetensors.index.json`, `pytorch_model.bin.index.json`).
 */
import { RuntimeError, quote } from '../error.ts';
import { joinFiles } from './joined.ts';
import { parseJson } from './json.ts';
import type { ByteSource, TensorFile } from './source.ts';

const MAX_INDEX_BYTES = 100_000_000;

/** The file of each tensor. @throws RuntimeError `bad-format`, `limit`. */
export async function readIndex(source: ByteSource): Promise<ReadonlyMap<string, string>> {
  const { name, size } = source;
  if (size > MAX_INDEX_BYTES)
    throw bad(name, `it takes ${size} bytes`, `an index has at most ${MAX_INDEX_BYTES}`, 'limit');
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(await source.read(0, size));
  } catch (error) {
    throw error instanceof RuntimeError ? error : bad(name, 'it is malformed', 'it is not valid UTF-8');
  }
  const index = parseJson(text, name, 16);
  const map = index instanceof Map ? index.get('weight_map') : undefined;
  if (!(map instanceof Map)) throw bad(name, 'it is no index of shards', 'it has no weight_map, from tensors to files');
  if (!map.size) throw bad(name, 'it is no index of shards', 'its weight_map is empty');
  for (const [tensor, file] of map) {
    if (typeof file !== 'string' || !isPlainName(file)) {
      const why = `weight_map has ${typeof file === 'string' ? quote(file) : 'no name'} for ${quote(tensor)}`;
      throw bad(name, 'it names a file that cannot be a shard', `${why}; shards lie beside their index`);
    }
  }
  return map as Map<string, string>;
}

/** A file of the same folder, and nothing that leads out of it. */
const isPlainName = (file: string): boolean => !/[/\\\0]|^\.{0,2}$/.test(file) && file.length <= 255;

function bad(where: string, what: string, why: string, code = 'bad-format'): RuntimeError {
  const fix = 'download the index again, and the shards of the same version';
  return new RuntimeError({ code, where, what, why, fix });
}

/**
 * The tensors of all shards, which `files` has by name. On success it owns them.
 * @throws RuntimeError `bad-format` where index and shards contradict each other.
 */
export function joinShards(
  name: string,
  index: ReadonlyMap<string, string>,
  files: ReadonlyMap<string, TensorFile>,
): TensorFile {
  const lost = [...index].filter(([tensor, shard]) => {
    const file = files.get(shard)!;
    return !file.tensors.has(tensor) && !file.unread?.has(tensor);
  });
  if (!lost.length) return joinFiles(name, [...files.values()]);
  const shown = lost.slice(0, 3).map(([tensor, shard]) => `${quote(tensor)} in ${shard}`);
  const why = `it names ${shown.join(', ')}${lost.length > 3 ? ', …' : ''}, not found there`;
  throw bad(name, `${lost.length} of ${index.size} tensors are not in the shards that the index names`, why);
}
