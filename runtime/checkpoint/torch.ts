/**
 * PyTorch's `.pt`: a ZIP of `<root>/data.pkl` (the structure) and `<root>/data/<key>` (the storages). Opening reads the
 * directory and the pickle; tensors are read from their storages in place. Source: torch/serialization.py, spec 2.3.
 */
import { quote } from '../error.ts';
import { unpickle } from './pickle.ts';
import type { ByteSource, TensorFile } from './source.ts';
import { loadStorage, TORCH_GLOBALS } from './torch-pickle.ts';
import { bad, RESAVE, weightsIn, type TorchOptions } from './torch-weights.ts';
import { openZip } from './zip.ts';
import type { ZipEntry } from './zip.ts';

export const MAX_PICKLE_BYTES = 64 * 2 ** 20;

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

/**
 * Opens a `.pt` file.
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
  const bytesOf = ({ key }: { readonly key: string }) => {
    const entry = entries.get(`${base}data/${key}`);
    return entry && { source: entry, byteOffset: 0, size: entry.size };
  };
  return weightsIn(root, source, bytesOf, options);
}
