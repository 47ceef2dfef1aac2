/** Files kept between visits, by their digest, in the page's own file system (OPFS): weights are downloaded once. */
import type { ModelFile, StoredFile } from './model-file.ts';
import { page, type Folder } from './page.ts';
import { sweep } from './sweep.ts';

export interface Store {
  get(key: string): Promise<Uint8Array<ArrayBuffer> | undefined>;
  put(key: string, bytes: Uint8Array<ArrayBuffer>): Promise<void>;
}

const FOLDER = 'ditc';

/** Whose files are kept: each address has a folder of its own. */
export interface Owner {
  readonly base: URL;
  readonly model: ModelFile;
}

/**
 * Where files may be kept; undefined where the browser has no such place. The model loads all the same, and `onNote` is told, once, that
 * the next visit downloads again.
 */
export async function openStore(
  files: readonly StoredFile[],
  { base, model }: Owner,
  onNote: (note: string) => void,
): Promise<Store | undefined> {
  const storage = page.navigator?.storage;
  if (!storage?.getDirectory) return undefined;
  try {
    const name = encodeURIComponent(base.href);
    const all = await (await storage.getDirectory()).getDirectoryHandle(FOLDER, { create: true });
    const folder = await all.getDirectoryHandle(name, { create: true });
    await sweep(folder, name, model);
    const { quota = 0, usage = 0 } = await storage.estimate();
    const room = quota - usage;
    const bytes = await missingBytes(folder, files);
    const hasRoom = !bytes || room > bytes;
    if (!hasRoom) onNote(unkept(`the browser has room for ${room} bytes, not ${bytes}`));
    return new FolderStore(folder, hasRoom, onNote);
  } catch (error) {
    onNote(unkept(String(error))); // Private windows refuse it.
    return undefined;
  }
}

/** Of the files that are not kept already, whole by their sizes. */
async function missingBytes(folder: Folder, files: readonly StoredFile[]): Promise<number> {
  const sizes = await Promise.all(files.map(({ sha256 }) => sizeIn(folder, sha256)));
  return files.reduce((sum, { bytes }, i) => (sizes[i] === bytes ? sum : sum + bytes), 0);
}

/** Undefined where it is not kept. */
async function sizeIn(folder: Folder, key: string): Promise<number | undefined> {
  try {
    return (await (await folder.getFileHandle(key)).getFile()).size;
  } catch {
    return undefined;
  }
}

const unkept = (why: string): string => `the model is not kept for the next visit: ${why}`;

class FolderStore implements Store {
  constructor(
    private readonly folder: Folder,
    private hasRoom: boolean,
    private readonly onNote: (note: string) => void,
  ) {}

  async get(key: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
    try {
      const file = await (await this.folder.getFileHandle(key)).getFile();
      return new Uint8Array(await file.arrayBuffer());
    } catch {
      return undefined;
    }
  }

  /**
   * Moved to its place when it is whole; what cannot be kept is fetched again the next time. What is there stays: another tab may have put
   * it there, whole.
   */
  async put(key: string, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    if (!this.hasRoom) return;
    try {
      const writable = await (await this.folder.getFileHandle(key, { create: true })).createWritable();
      await writable.write(bytes);
      await writable.close();
    } catch (error) {
      if (this.hasRoom) this.onNote(unkept(String(error)));
      this.hasRoom = false;
      if ((await sizeIn(this.folder, key)) !== bytes.length) await this.folder.removeEntry(key).catch(() => {});
    }
  }
}
