/**
 * PyTorch's `.pt`: a ZIP of `<root>/data.pkl` (the structure) and `<root>/data/<key>` (the storages). Opening reads the
 * directory and the pickle; tensors are read from their storages in place. Source: torch/serialization.py, spec 2.3.
 */
import { RuntimeError, quote } from '../error.ts';
import { DTYPE_BYTES, elementCount } from './dtype.ts';
import { unpickle } from './pickle.ts';
import { PickleObject, withArticle } from './pickle_values.ts';
import type { PickleValue } from './pickle_values.ts';
import type { ByteSource, TensorFile } from './source.ts';
import { StoredTensorFile } from './stored.ts';
import type { StoredTensor } from './stored.ts';
import { lastOffset } from './strided.ts';
import { loadStorage, TensorRef, TORCH_GLOBALS, UnreadTensor } from './torch_pickle.ts';
import { openZip } from './zip.ts';
import type { ZipEntry } from './zip.ts';

/** Which part of a training checkpoint holds the weights. */
export interface TorchOptions {
  /**
   * `ema` or `model`: that entry of the root dict, an error when there is none. `root`: the tensors of the root dict
   * itself. By default the first of `ema`, `model`, `state_dict` that is a dict, else the root: train.py's own rule.
   */
  prefer?: 'ema' | 'model' | 'root';
}

const MAX_PICKLE_BYTES = 64 * 2 ** 20;
/** Elements a view may have beyond its storage's: an expanded tensor (stride 0) can claim any size for a few bytes. */
const MAX_EXPANSION = 2 ** 24;
const RESAVE = 'the file is damaged or was not copied completely: download or save it again';

type Dict = Map<PickleValue, PickleValue>;

function bad(where: string, what: string, why: string, fix = RESAVE, code = 'bad-format'): RuntimeError {
  return new RuntimeError({ code, where, what, why, fix });
}

/** `<root>/`, or nothing for an archive zipped from inside its folder. */
function findRoot(entries: Map<string, ZipEntry>, where: string): string {
  const found = [...entries.keys()].filter((name) => name === 'data.pkl' || name.endsWith('/data.pkl'));
  if (found.length !== 1) {
    const why = found.length === 0 ? 'there is no data.pkl in it' : `it has ${found.length} entries named data.pkl`;
    throw bad(where, 'the ZIP archive is not a PyTorch checkpoint', why, 'pass a file that torch.save wrote');
  }
  const root = found[0].slice(0, -'data.pkl'.length);
  if (entries.has(`${root}constants.pkl`)) {
    const fix = "save the weights only: torch.save(torch.jit.load(path).state_dict(), 'weights.pt')";
    throw bad(where, 'it is a TorchScript archive', 'it holds code, and only tensors are read', fix, 'unsupported');
  }
  return root;
}

async function checkByteOrder(entry: ZipEntry | undefined, where: string): Promise<void> {
  if (!entry) return; // not written before PyTorch 2.1
  const order = new TextDecoder().decode(await entry.read(0, Math.min(entry.size, 16)));
  if (order === 'little') return;
  const fix = 'load and save it again on a little-endian machine';
  throw bad(where, `the byte order is ${quote(order)}`, 'only little-endian files are read', fix, 'unsupported');
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

/** Checks that a view stays inside its storage and the storage inside its entry, and places it. */
function placeTensor(name: string, t: TensorRef, entry: ZipEntry | undefined, where: string): StoredTensor {
  const tensor = `tensor ${quote(name)}`;
  const { dtype } = t;
  const { key } = t.storage;
  const size = DTYPE_BYTES[dtype];
  const count = t.storage.dtype === undefined ? Math.floor(t.storage.count / size) : t.storage.count;
  const total = elementCount(t.shape);
  if (!entry)
    throw bad(where, `${tensor} has no data`, `the archive has no storage data/${key}`, undefined, 'truncated');
  if (count * size > entry.size) {
    const why = `${count} elements of ${dtype} take ${count * size} bytes, the entry data/${key} has ${entry.size}`;
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
  return { name, dtype, shape, strides, negated, source: entry, byteOffset: t.offset * size };
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
 * Opens a `.pt` file. Optimiser state and everything that is not a tensor are passed over.
 * @throws RuntimeError `forbidden-global` for a name off the allow-list, `not-found` when there are no weights where
 * they are looked for, `bad-format`, `truncated`, `unsupported` or `limit` for a damaged or hostile file.
 */
export async function openTorch(source: ByteSource, options: TorchOptions = {}): Promise<TensorFile> {
  const entries = await openZip(source);
  const base = findRoot(entries, source.name);
  await checkByteOrder(entries.get(`${base}byteorder`), source.name);
  const pickle = entries.get(`${base}data.pkl`)!;
  if (pickle.size > MAX_PICKLE_BYTES) {
    throw bad(pickle.name, `it takes ${pickle.size} bytes`, `at most ${MAX_PICKLE_BYTES} are allowed`, RESAVE, 'limit');
  }
  const root = unpickle(await pickle.read(0, pickle.size), {
    name: pickle.name,
    globals: TORCH_GLOBALS,
    persistentLoad: loadStorage,
  });
  const [weights, part] = selectWeights(root, options.prefer, source.name);
  const tensors = new Map<string, StoredTensor>();
  const unread = new Map<string, string>();
  for (const [name, value] of weights) {
    if (typeof name !== 'string') continue;
    if (value instanceof UnreadTensor) unread.set(name, value.what);
    if (!(value instanceof TensorRef)) continue;
    tensors.set(name, placeTensor(name, value, entries.get(`${base}data/${value.storage.key}`), source.name));
  }
  if (tensors.size + unread.size === 0) {
    const what =
      part === 'root' ? 'there are no tensors in its root dict' : `there are no tensors in its ${quote(part)} dict`;
    const fix = 'save a flat dict of tensors: torch.save(model.state_dict(), path)';
    throw bad(source.name, what, `it holds ${listKeys(weights)}`, fix, 'not-found');
  }
  return new StoredTensorFile(source, tensors, collectMetadata(root, part), unread);
}
