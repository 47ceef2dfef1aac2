/** What earlier builds of a page left in its file system is removed: weights are large, and nothing else ever removes them. */
import { filesOf, type ModelFile } from './model-file.ts';
import { page, type Folder } from './page.ts';

/**
 * Removes from a model's folder the files that its build no longer names, unless a tab has an older build open: it may need its files
 * once more, when its GPU is lost. This tab holds the folder from then on. Without locks nothing is known of other tabs, and all stays.
 */
export async function sweep(folder: Folder, name: string, model: ModelFile): Promise<void> {
  const { locks } = page.navigator ?? {};
  if (!locks) return;
  const lock = `ditc folder ${name}`;
  await locks.request(lock, { ifAvailable: true }, async (alone) => {
    if (alone) await removeAllBut(new Set(filesOf(model).map(({ sha256 }) => sha256)), folder);
  });
  // Held until the tab is closed. Where that ends the request, nobody waits for it.
  locks.request(lock, { mode: 'shared' }, () => new Promise<never>(() => {})).catch(() => {});
}

async function removeAllBut(named: ReadonlySet<string>, folder: Folder): Promise<void> {
  const stale: string[] = [];
  for await (const key of folder.keys()) if (!named.has(key)) stale.push(key);
  for (const key of stale) await folder.removeEntry(key).catch(() => {}); // A file that is being read stays for the next visit.
}
