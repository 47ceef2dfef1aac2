/**
 * From what a `.pt` file's pickle holds to named tensors: which dict has the weights, and where in its storage each tensor
 * lies. The two forms of the file (torch.ts, torch-legacy.ts) differ in how storages are found.
 */
import { RuntimeError, quote } from '../error.ts';
import { DTYPE_BYTES, elementCount } from './dtype.ts';
import { PickleObject, withArticle } from './pickle-values.ts';
import type { PickleValue } from './pickle-values.ts';
import type { ByteSource, TensorFile } from './source.ts';
import { StoredTensorFile } from './stored.ts';
import type { StoredTensor } from './stored.ts';
import { lastOffset } from './strided.ts';
import type { Part } from './trained.ts';
import { TensorRef, UnreadTensor, type StorageRef } from './torch-pickle.ts';

/** Which part of a training checkpoint holds the weights. */
export interface TorchOptions {
  /**
   * `ema` or `model`: that entry of the root dict, an error when there is none. `root`: the tensors of the root dict
   * itself. By default the first of `ema`, `model`, `state_dict` that is a dict, else the root: train.py's own rule.
   */
  prefer?: Part | 'root';
}

/** Elements a view may have beyond its storage's: an expanded tensor (stride 0) can claim any size for a few bytes. */
const MAX_EXPANSION = 2 ** 24;
export const RESAVE = 'the file is damaged or was not copied completely: download or save it again';

type Dict = Map<PickleValue, PickleValue>;

export function bad(where: string, what: string, why: string, fix = RESAVE, code = 'bad-format'): RuntimeError {
  return new RuntimeError({ code, where, what, why, fix });
}

/** The bytes of a storage in the file. */
export interface StorageBytes {
  readonly source: ByteSource;
  readonly byteOffset: number;
  readonly size: number;
}

/** The dict of weights in the unpickled root, and what it is called. */
function selectWeights(root: PickleValue, prefer: TorchOptions['prefer'], where: string): [Dict, string] {
  if (!(root instanceof Map)) {
    const fix = 'save a dict: torch.save(model.state_dict(), path)';
    throw bad(where, `the file holds ${withArticle(root)}`, 'weights are looked for in a dict', fix, 'not-found');
  }
  if (prefer === 'root') return [root, 'root'];
  for (const key of prefer ? [prefer] : ['ema', 'model', 'state_dict']) {
    const part = root.get(key);
    if (part instanceof Map && (prefer || part.size > 0)) return [part, key];
  }
  if (!prefer) return [root, 'root'];
  const fix = 'name a part that is there, or none: then the first of ema, model and state_dict is taken';
  throw bad(where, `there is no ${quote(prefer)} dict in it`, `it holds ${listKeys(root)}`, fix, 'not-found');
}

function listKeys(dict: Dict): string {
  const names = [...dict.keys()]
    .slice(0, 8)
    .map((key) => (typeof key === 'string' ? quote(key, 60) : withArticle(key)));
  return dict.size === 0 ? 'nothing' : names.join(', ') + (dict.size > 8 ? `, … (${dict.size} keys)` : '');
}

/** Checks that a view stays inside its storage and the storage inside its bytes, and places it. */
function placeTensor(name: string, t: TensorRef, bytes: StorageBytes | undefined, where: string): StoredTensor {
  const tensor = `tensor ${quote(name)}`;
  const { dtype } = t;
  const { key } = t.storage;
  const size = DTYPE_BYTES[dtype];
  const count = t.storage.dtype === undefined ? Math.floor(t.storage.count / size) : t.storage.count;
  const total = elementCount(t.shape);
  if (!bytes) throw bad(where, `${tensor} has no data`, `the file has no storage data/${key}`, undefined, 'truncated');
  if (count * size > bytes.size) {
    const why = `${count} elements of ${dtype} take ${count * size} bytes, the storage data/${key} has ${bytes.size}`;
    throw bad(where, `${tensor}: its storage is too short`, why, undefined, 'truncated');
  }
  const last = t.offset + lastOffset(t.shape, t.strides);
  if (total > 0 && !(last < count)) {
    const why = `offset ${t.offset}, size [${t.shape}] and stride [${t.strides}] reach element ${last} of ${count}`;
    throw bad(where, `${tensor} leaves its storage`, why);
  }
  if (total > Math.max(count, MAX_EXPANSION)) {
    const why = `size [${t.shape}] has ${total} elements, its storage ${count}`;
    throw bad(where, `${tensor} is expanded too far`, why, 'save it with .contiguous()', 'limit');
  }
  const { shape, strides, negated } = t;
  const byteOffset = bytes.byteOffset + t.offset * size;
  return { name, dtype, shape, strides, negated, source: bytes.source, byteOffset };
}

/** The scalars beside the weights (`step`, `epoch`, `args.lr`) as text, and `torch.part`: which dict was chosen. */
function collectMetadata(root: PickleValue, part: string): Record<string, string> {
  const metadata: Record<string, string> = Object.create(null);
  metadata['torch.part'] = part;
  const add = (key: PickleValue, value: PickleValue, prefix: string) => {
    const scalar = typeof value === 'number' || typeof value === 'boolean' || typeof value === 'bigint';
    const text = scalar ? String(value) : typeof value === 'string' ? value : undefined;
    if (typeof key === 'string' && text !== undefined) metadata[prefix + key] = text;
  };
  if (!(root instanceof Map)) return metadata;
  for (const [key, value] of root) {
    add(key, value, '');
    if (key !== 'args') continue;
    const args = value instanceof PickleObject ? value.attributes : value instanceof Map ? value : new Map();
    for (const [name, setting] of args) add(name, setting, 'args.');
  }
  return metadata;
}

/**
 * The tensors in an unpickled root. Optimiser state and everything that is not a tensor are passed over.
 * @throws RuntimeError `not-found` when there are no weights where they are looked for, `bad-format`, `truncated`, `limit`.
 */
export function weightsIn(
  root: PickleValue,
  source: ByteSource,
  bytesOf: (storage: StorageRef) => StorageBytes | undefined,
  { prefer }: TorchOptions,
): TensorFile {
  const [weights, part] = selectWeights(root, prefer, source.name);
  const tensors = new Map<string, StoredTensor>();
  const unread = new Map<string, string>();
  for (const [name, value] of weights) {
    if (typeof name !== 'string') continue;
    if (value instanceof UnreadTensor) unread.set(name, value.what);
    if (!(value instanceof TensorRef)) continue;
    tensors.set(name, placeTensor(name, value, bytesOf(value.storage), source.name));
  }
  if (tensors.size + unread.size === 0) {
    const what =
      part === 'root' ? 'there are no tensors in its root dict' : `there are no tensors in its ${quote(part)} dict`;
    const fix = 'save a flat dict of tensors: torch.save(model.state_dict(), path)';
    throw bad(source.name, what, `it holds ${listKeys(weights)}`, fix, 'not-found');
  }
  return new StoredTensorFile(source, tensors, collectMetadata(root, part), unread);
}
