/**
 * The pictures of a folder of class folders: classes in the order of their names' code points, as torchvision's
 * ImageFolder has them, and within a class the files of all subfolders, sorted. Symbolic links are followed, a loop
 * once; hidden files and what is no image are left out and counted.
 */
import { readdir, realpath, stat } from 'node:fs/promises';
import { extname, join, relative } from 'node:path';
import { RuntimeError, quote } from '../../error.ts';

/** A picture by its name. */
export const IMAGE = /\.(png|jpe?g|jpe|jfif|webp|gif|tiff?|avif)$/i;

export interface Listing {
  readonly classes: readonly string[];
  /** Paths. */
  readonly files: readonly string[];
  readonly labels: Int32Array;
  readonly notes: readonly string[];
}

interface Found {
  readonly images: string[];
  readonly folders: string[];
  /** Number of other files by ending. */
  readonly others: Map<string, number>;
}

const byCodePoint = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));

/** By code point. The plain order differs only where names have characters beyond 16 bits, and is far quicker. */
function sortNames(names: string[]): void {
  if (names.some((name) => /[\ud800-\udfff]/.test(name))) names.sort(byCodePoint);
  else names.sort();
}

/** What lies directly in a folder, sorted. Names, not paths. */
async function look(folder: string): Promise<Found> {
  const found: Found = { images: [], folders: [], others: new Map() };
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const { name } = entry;
    if (name.startsWith('.')) continue;
    // A link that leads nowhere, or to itself, is neither.
    const info = entry.isSymbolicLink() ? await stat(join(folder, name)).catch(() => undefined) : entry;
    if (info?.isDirectory()) found.folders.push(name);
    else if (info?.isFile() && IMAGE.test(name)) found.images.push(name);
    else count(found.others, extname(name).toLowerCase() || name);
  }
  sortNames(found.images);
  sortNames(found.folders);
  return found;
}

function count(counts: Map<string, number>, key: string, by = 1): void {
  counts.set(key, (counts.get(key) ?? 0) + by);
}

/** Every image below a folder. `seen` holds the real paths of folders already visited. */
async function imagesBelow(folder: string, others: Map<string, number>, seen = new Set<string>()): Promise<string[]> {
  const real = await realpath(folder);
  if (seen.has(real)) return [];
  seen.add(real);
  const found = await look(folder);
  for (const [ending, n] of found.others) count(others, ending, n);
  const images = found.images.map((name) => join(folder, name));
  for (const name of found.folders)
    for (const image of await imagesBelow(join(folder, name), others, seen)) images.push(image);
  return images;
}

/**
 * The pictures below `root` with their labels. `fixed` are the class names to number by, such as a checkpoint's; without
 * it every folder is a class. A folder with pictures and no folders is one class, and so is a picture alone.
 * @throws RuntimeError `no-data` when there is no picture, `labels` when folders and classes disagree.
 */
export async function listImages(root: string, fixed?: readonly string[]): Promise<Listing> {
  if (IMAGE.test(root) && (await stat(root)).isFile())
    return { classes: fixed ?? ['all'], files: [root], labels: Int32Array.of(0), notes: [] };
  const top = await look(root);
  const others = new Map(top.others);
  const perClass = new Map<string, string[]>();
  for (const name of top.folders) perClass.set(name, await imagesBelow(join(root, name), others));
  const nested = [...perClass.values()].some((files) => files.length > 0);
  if (!nested && !top.images.length) throw noImages(root, others);
  if (nested) checkSplits(root, perClass);
  const direct = top.images.map((name) => join(root, name));
  const found = nested ? perClass : new Map([[fixed?.[0] ?? 'all', direct]]);
  const classes = fixed ?? [...found.keys()];
  if (nested) checkClasses(root, found, fixed);
  const files: string[] = [];
  const labels: number[] = [];
  for (const [name, images] of found) {
    const label = classes.indexOf(name);
    for (const image of images) {
      files.push(image);
      labels.push(label);
    }
  }
  if (nested && direct.length) count(others, 'pictures outside the class folders', direct.length);
  return { classes, files, labels: Int32Array.from(labels), notes: notesOn(others) };
}

const listed = (others: ReadonlyMap<string, number>): string =>
  [...others]
    .sort(([a], [b]) => byCodePoint(a, b))
    .slice(0, 8)
    .map(([ending, n]) => `${n} ${ending}`)
    .join(', ');

const notesOn = (others: ReadonlyMap<string, number>): string[] => (others.size ? [`left out: ${listed(others)}`] : []);

function noImages(root: string, others: ReadonlyMap<string, number>): RuntimeError {
  const why = others.size ? `it holds ${listed(others)}` : 'it is empty';
  const fix = 'give a folder that has a folder of PNG, JPEG or WebP files for each class';
  return new RuntimeError({ code: 'no-data', where: root, what: 'there are no pictures in it', why, fix });
}

/** The root of a data set with its splits, taken for a folder of classes, would teach "train" and "val". */
function checkSplits(root: string, perClass: ReadonlyMap<string, readonly string[]>): void {
  const names = [...perClass.keys()];
  const train = names.find((name) => /^train(ing)?$/i.test(name));
  if (!train || !names.every((name) => /^(train(ing)?|val(idation)?|valid|test(ing)?)$/i.test(name))) return;
  throw new RuntimeError({
    code: 'labels',
    where: root,
    what: `its folders are ${names.join(', ')}`,
    why: 'they are parts of a data set, not classes',
    fix: `give ${join(root, train)}`,
  });
}

function checkClasses(root: string, found: ReadonlyMap<string, readonly string[]>, fixed?: readonly string[]): void {
  for (const [name, files] of found) {
    const where = join(root, name);
    if (fixed && !fixed.includes(name) && files.length) {
      const why = `the classes are ${fixed
        .slice(0, 8)
        .map((n) => quote(n))
        .join(', ')}${fixed.length > 8 ? ', …' : ''}`;
      const fix = 'remove or rename the folder, or begin anew with all classes';
      throw new RuntimeError({ code: 'labels', where, what: 'the folder is no class of the model', why, fix });
    }
    if (!fixed && !files.length) {
      const why = 'every folder is a class, and the labels of all that follow would shift by it';
      throw new RuntimeError({
        code: 'labels',
        where,
        what: 'the folder has no pictures',
        why,
        fix: 'remove the folder',
      });
    }
  }
}

/** The path below `root`, with slashes on every system. */
export const below = (root: string, path: string): string => relative(root, path).replaceAll('\\', '/');
