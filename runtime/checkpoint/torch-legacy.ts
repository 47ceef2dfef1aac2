/**
 * PyTorch's format from before 1.6, which `_use_new_zipfile_serialization=False` still writes: pickles one behind the other (a
 * magic number, the version, what machine wrote it, the structure, the keys of the storages), then each storage as its number
 * of elements in eight bytes and the elements. Source: torch/serialization.py.
 */
import { RuntimeError, quote } from '../error.ts';
import { unpickleFirst } from './pickle.ts';
import type { PickleValue } from './pickle-values.ts';
import { checkRange } from './source.ts';
import type { ByteSource, TensorFile } from './source.ts';
import { MAX_PICKLE_BYTES } from './torch.ts';
import type { StorageRef } from './torch-pickle.ts';
import { bytesPerElement, loadStorage, TORCH_GLOBALS } from './torch-pickle.ts';
import { bad, weightsIn, type StorageBytes, type TorchOptions } from './torch-weights.ts';

/** What such files begin with: PROTO, maybe a FRAME, and the magic number as a LONG1. */
export const LEGACY_TORCH = /^\x80[\x02-\x05](?:\x95[^]{8})?\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19/;
const VERSION = 1001;

/** Bytes read for the pickles at first; nothing says beforehand how long they are. */
const FIRST_READ = 2 ** 20;

interface Pickles {
  readonly root: PickleValue;
  /** Of the storages, in the order in which they follow. */
  readonly keys: readonly string[];
  readonly storages: ReadonlyMap<string, StorageRef>;
  /** Where the storages begin. */
  readonly end: number;
}

/** Opens such a file. @throws as `openTorch`. */
export async function openLegacyTorch(source: ByteSource, options: TorchOptions = {}): Promise<TensorFile> {
  const pickles = await readPickles(source);
  const places = await placeStorages(source, pickles);
  return weightsIn(pickles.root, source, ({ key }) => places.get(key), options);
}

/** The pickles, from as much of the file as they turn out to take. */
async function readPickles(source: ByteSource): Promise<Pickles> {
  for (let size = FIRST_READ; ; size *= 8) {
    const most = Math.min(source.size, MAX_PICKLE_BYTES);
    const bytes = await source.read(0, Math.min(size, most));
    try {
      return parsePickles(bytes, source.name);
    } catch (error) {
      const isCut = error instanceof RuntimeError && error.code === 'truncated' && bytes.length < source.size;
      if (!isCut) throw error;
      if (bytes.length === most)
        throw bad(source.name, 'its pickle is too long', `at most ${most} bytes are read`, undefined, 'limit');
    }
  }
}

function parsePickles(bytes: Uint8Array, name: string): Pickles {
  const storages = new Map<string, StorageRef>();
  let end = 0;
  const next = (persistentLoad?: (id: PickleValue, where: string) => PickleValue): PickleValue => {
    const read = { name: end ? `${name} after byte ${end}` : name, globals: TORCH_GLOBALS, persistentLoad };
    const { value, length } = unpickleFirst(bytes.subarray(end), read);
    end += length;
    return value;
  };
  next(); // the magic number, by which the file was told
  const version = next();
  if (version !== VERSION)
    throw bad(name, `its version is ${String(version)}`, `version ${VERSION} is read`, undefined, 'unsupported');
  checkMachine(next(), name);
  const root = next((id, where) => {
    const storage = loadStorage(id, where);
    // Where several types share a storage, it is written as the first.
    if (!storages.has(storage.key)) storages.set(storage.key, storage);
    return storage;
  });
  const keys = next();
  if (!Array.isArray(keys) || !keys.every((key) => typeof key === 'string') || new Set(keys).size < keys.length)
    throw bad(name, 'its list of storages is malformed', 'it must be a list of different strings');
  return { root, keys, storages, end };
}

function checkMachine(info: PickleValue, name: string): void {
  if (info instanceof Map && info.get('little_endian') === true) return;
  const fix = 'load and save it again on a little-endian machine';
  const why = 'only files of little-endian machines are read';
  throw bad(name, 'it was written by a big-endian machine, or does not say by which', why, fix, 'unsupported');
}

async function placeStorages(source: ByteSource, { keys, storages, end }: Pickles): Promise<Map<string, StorageBytes>> {
  const places = new Map<string, StorageBytes>();
  let at = end;
  for (const key of keys) {
    const storage = storages.get(key);
    if (!storage)
      throw bad(source.name, `storage ${quote(key)} belongs to no tensor`, 'where the next begins is not known');
    const head = await source.read(at, 8);
    const count = Number(new DataView(head.buffer, head.byteOffset).getBigUint64(0, true));
    const size = count * bytesPerElement(storage);
    checkRange(`${source.name}: storage ${quote(key)}`, source.size, at + 8, size);
    places.set(key, { source, byteOffset: at + 8, size });
    at += 8 + size;
  }
  if (at === source.size) return places;
  const why = `the storages end at byte ${at}, the file at ${source.size}`;
  throw bad(source.name, 'bytes follow the last storage', why);
}
