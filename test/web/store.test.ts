/** What a page keeps between visits, in a file system of the test's own with so much room. */
import { afterEach, expect, it, vi } from 'vitest';
import type { ModelFile, StoredFile } from '../../runtime/web/model-file.ts';
import { page } from '../../runtime/web/page.ts';
import { openStore, type Store } from '../../runtime/web/store.ts';

const FILE = { file: 'weights/a', bytes: 600, sha256: 'a' };
const OTHER = { file: 'weights/b', bytes: 300, sha256: 'b' };

/** The browser's storage, and what lies in it. Nothing is written where more than `quota` would be used. */
function browser(quota: number, stored = new Map<string, Uint8Array>()) {
  const usage = () => [...stored.values()].reduce((sum, { length }) => sum + length, 0);
  const handle = (name: string) => ({
    getFile: async () => ({
      size: stored.get(name)!.length,
      arrayBuffer: async () => stored.get(name)!.slice().buffer,
    }),
    createWritable: async () => ({
      async write(bytes: Uint8Array) {
        if (usage() + bytes.length > quota) throw new Error('QuotaExceededError');
        stored.set(name, bytes);
      },
      close: async () => {},
    }),
  });
  const folder = {
    async getFileHandle(name: string, { create } = { create: false }) {
      if (!stored.has(name) && !create) throw new Error('NotFoundError');
      if (!stored.has(name)) stored.set(name, new Uint8Array());
      return handle(name);
    },
    removeEntry: async (name: string) => void stored.delete(name),
    async *keys() {
      yield* [...stored.keys()];
    },
    getDirectoryHandle: async () => folder,
  };
  const storage = { estimate: async () => ({ quota, usage: usage() }), getDirectory: async () => folder };
  vi.stubGlobal('navigator', { storage, locks: locks() });
  return stored;
}

/** The browser's locks, where nothing has to wait: of each, how many hold it. */
function locks() {
  const held = new Map<string, number>();
  return {
    async request<T>(name: string, { mode }: { mode?: 'shared' }, work: (lock: object | null) => Promise<T>) {
      const before = held.get(name) ?? 0;
      if (mode !== 'shared' && before) return work(null);
      held.set(name, before + 1);
      return work({}).finally(() => held.set(name, before));
    },
  };
}

/** The next visit: all tabs were closed meanwhile. */
const closeTabs = () => vi.stubGlobal('navigator', { ...page.navigator, locks: locks() });

/** A build of these files. */
const build = (chunks: readonly StoredFile[]): ModelFile => ({
  format: 1,
  model: 'model',
  variants: [],
  weights: { f32: { chunks, tensors: [] } },
});
const base = new URL('http://page/model/');

async function opened(files = [FILE, OTHER]): Promise<{ store: Store; notes: string[] }> {
  const notes: string[] = [];
  return { store: (await openStore(files, { base, model: build(files) }, (note) => notes.push(note)))!, notes };
}

afterEach(() => void vi.unstubAllGlobals());

it('needs room for what is not kept yet alone', async () => {
  const stored = browser(1000);
  const first = await opened();
  await first.store.put('a', new Uint8Array(600));
  await first.store.put('b', new Uint8Array(300));
  expect([...stored.keys()]).toEqual(['a', 'b']);
  // Kept whole, it takes more than half of the room, and nothing is said.
  const second = await opened();
  expect([first.notes, second.notes]).toEqual([[], []]);
  expect(await second.store.get('b')).toEqual(new Uint8Array(300));
  // One of the two is gone, or was cut off.
  for (const lost of [() => stored.delete('b'), () => stored.set('b', new Uint8Array(7))]) {
    lost();
    expect((await opened()).notes).toEqual([]);
  }
});

it('says what there is no room for, and keeps nothing of it', async () => {
  const stored = browser(500);
  const { store, notes } = await opened();
  expect(notes).toEqual(['the model is not kept for the next visit: the browser has room for 500 bytes, not 900']);
  await store.put('a', new Uint8Array(600));
  expect(stored.size).toBe(0);
});

it('leaves what another tab kept whole where its own write fails, and no half of a file', async () => {
  const stored = browser(1000);
  const [one, two] = [await opened(), await opened()];
  await one.store.put('a', new Uint8Array(600));
  await two.store.put('a', new Uint8Array(600)); // Beside the other copy there is no room for it.
  expect(two.notes).toEqual([expect.stringContaining('QuotaExceededError')]);
  expect(stored.get('a')).toHaveLength(600);
  const third = await opened([OTHER]);
  await third.store.put('b', new Uint8Array(500));
  expect(third.notes).toHaveLength(1);
  expect([...stored.keys()]).toEqual(['a']);
});

it('removes what the build no longer names, but nothing while a tab has the older build open', async () => {
  const stored = browser(1000);
  const older = await opened([FILE]);
  await older.store.put('a', new Uint8Array(600));
  await opened([OTHER]);
  expect([...stored.keys()]).toEqual(['a']);
  closeTabs();
  const newer = await opened([OTHER]);
  expect(stored.size).toBe(0);
  await newer.store.put('b', new Uint8Array(300));
  closeTabs();
  await opened([OTHER]);
  expect([...stored.keys()]).toEqual(['b']);
});
