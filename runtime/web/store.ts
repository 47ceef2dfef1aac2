/** Files kept between visits, by their digest, in the page's own file system (OPFS): weights are downloaded once. */
import { page, type Folder } from './page.ts';

export interface Store {
  get(key: string): Promise<Uint8Array<ArrayBuffer> | undefined>;
  put(key: string, bytes: Uint8Array<ArrayBuffer>): Promise<void>;
}

const FOLDER = 'ditc';

/**
 * Where `bytes` may be kept; undefined where the browser has no such place. The model loads all the same, and `onNote` is told, once, that
 * the next visit downloads again.
 */
export async function openStore(bytes: number, onNote: (note: string) => void): Promise<Store | undefined> {
  const storage = page.navigator?.storage;
  if (!storage?.getDirectory) return undefined;
  try {
    const { quota = 0, usage = 0 } = await storage.estimate();
    const folder = await (await storage.getDirectory()).getDirectoryHandle(FOLDER, { create: true });
    const room = quota - usage;
    if (room <= bytes) onNote(unkept(`the browser has room for ${room} bytes, not ${bytes}`));
    return new FolderStore(folder, room > bytes, onNote);
  } catch (error) {
    onNote(unkept(String(error))); // Private windows refuse it.
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

  /** Moved to its place when it is whole; what cannot be kept is fetched again the next time. */
  async put(key: string, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    if (!this.hasRoom) return;
    try {
      const writable = await (await this.folder.getFileHandle(key, { create: true })).createWritable();
      await writable.write(bytes);
      await writable.close();
    } catch (error) {
      if (this.hasRoom) this.onNote(unkept(String(error)));
      this.hasRoom = false;
      await this.folder.removeEntry(key).catch(() => {});
    }
  }
}
