/** Files kept between visits, by their digest, in the page's own file system (OPFS): weights are downloaded once. */
import { page, type Folder } from './page.ts';

export interface Store {
  get(key: string): Promise<Uint8Array<ArrayBuffer> | undefined>;
  put(key: string, bytes: Uint8Array<ArrayBuffer>): Promise<void>;
}

const FOLDER = 'ditc';

/**
 * Where `bytes` may be kept; undefined where the browser has no such place, or no room for them: the model then loads all the same.
 */
export async function openStore(bytes: number): Promise<Store | undefined> {
  const storage = page.navigator?.storage;
  if (!storage?.getDirectory) return undefined;
  try {
    const { quota = 0, usage = 0 } = await storage.estimate();
    const folder = await (await storage.getDirectory()).getDirectoryHandle(FOLDER, { create: true });
    return new FolderStore(folder, quota - usage > bytes);
  } catch {
    return undefined; // Private windows refuse it.
  }
}

class FolderStore implements Store {
  constructor(
    private readonly folder: Folder,
    private readonly hasRoom: boolean,
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
    } catch {
      await this.folder.removeEntry(key).catch(() => {});
    }
  }
}
