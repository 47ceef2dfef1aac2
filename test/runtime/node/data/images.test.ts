/** Folders of class folders: what is listed, in which order, and what is refused; decoding here and in threads. */
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Dataset } from '../../../../runtime/data/dataset.ts';
import { prefetch, type Batch } from '../../../../runtime/data/prefetch.ts';
import { openData, type DataOptions } from '../../../../runtime/node/data/open.ts';
import { failure, flat, folderOf, PICTURES } from './support.ts';

const options: DataOptions = { shape: [1, 8, 8], workers: 0 };

async function levels(dataset: Dataset): Promise<number[]> {
  const all = Array.from({ length: dataset.count }, (_, i) => dataset.read(i, false));
  return (await Promise.all(all)).map((bytes) => bytes[0]);
}

describe('a folder of class folders', () => {
  it('is read in the order of names, classes by code point', async () => {
    const root = folderOf({
      'b/2.png': flat(2),
      'b/10.PNG': flat(1),
      'B/x.png': flat(0),
      'é/deep/er/1.png': flat(3),
      'z/1.png': flat(5),
      '\u{1f431}/1.png': flat(7),
      '\uff21/1.png': flat(6),
      'é/z.png': flat(4),
    });
    const data = await openData(root, options);
    expect(data.classes).toEqual(['B', 'b', 'z', 'é', '\uff21', '\u{1f431}']);
    expect(await levels(data)).toEqual([0, 1, 2, 5, 4, 3, 6, 7]);
    expect([...data.labels]).toEqual([0, 1, 1, 2, 3, 3, 4, 5]);
    expect(data).toMatchObject({ count: 8, content: 'pixels', shape: [1, 8, 8], notes: [] });
    await data.close();
  });

  it('leaves out what is hidden or no image, and says what', async () => {
    const root = folderOf({
      'a/1.png': flat(1),
      'a/.hidden.png': flat(9),
      '.git/1.png': flat(9),
      'a/Thumbs.db': 'x',
      'a/notes.txt': 'x',
      'README.md': 'x',
      'stray.png': flat(9),
    });
    const data = await openData(root, options);
    expect(await levels(data)).toEqual([1]);
    expect(data.notes).toEqual(['left out: 1 .db, 1 .md, 1 .txt, 1 pictures outside the class folders']);
    await data.close();
  });

  it('follows links, but not in circles', async () => {
    const root = folderOf({ 'a/1.png': flat(1), 'b/2.png': flat(2) });
    const elsewhere = folderOf({ '3.png': flat(3) });
    symlinkSync(elsewhere, join(root, 'c'));
    symlinkSync(root, join(root, 'a', 'up'));
    symlinkSync(join(root, 'a', 'self.png'), join(root, 'a', 'self.png'));
    symlinkSync('/nowhere/at/all.png', join(root, 'b', 'dangling.png'));
    const data = await openData(root, options);
    expect(data.classes).toEqual(['a', 'b', 'c']);
    expect((await levels(data)).filter((level) => level === 3).length).toBeGreaterThan(0);
    await data.close();
  });

  it('may be no class folders at all', async () => {
    const data = await openData(folderOf({ '1.png': flat(1), '2.png': flat(2) }), { ...options, classes: 1 });
    expect(data.classes).toEqual(['all']);
    expect(await levels(data)).toEqual([1, 2]);
    await data.close();
  });

  it('takes its labels from a list that is given', async () => {
    const root = folderOf({ 'dog/1.png': flat(1), 'cat/2.png': flat(2) });
    const data = await openData(root, { ...options, labels: ['dog', 'bird', 'cat'] });
    expect(data.classes).toEqual(['dog', 'bird', 'cat']);
    expect([...data.labels].sort()).toEqual([0, 2]);
    expect(data.labels[data.nameOf(0).includes('dog') ? 0 : 1]).toBe(0);
    await data.close();
    const error = await failure(() => openData(root, { ...options, labels: ['dog', 'bird'] }));
    expect(error).toMatchObject({ code: 'labels', where: join(root, 'cat') });
  });

  it('is refused when labels would be wrong', async () => {
    const empty = folderOf({ 'a/1.png': flat(1), 'c/3.png': flat(3) });
    mkdirSync(join(empty, 'b'));
    expect(await failure(() => openData(empty, options))).toMatchObject({ code: 'labels', where: join(empty, 'b') });
    const many = folderOf({ 'a/1.png': flat(1), 'b/2.png': flat(2), 'c/3.png': flat(3) });
    const error = await failure(() => openData(many, { ...options, classes: 2 }));
    expect(error.message).toMatch(/label of .*3\.png is 2: the model has 2 classes; give the model numClasses: 3/);
    const parts = folderOf({ 'train/a/1.png': flat(1), 'val/a/1.png': flat(1) });
    expect((await failure(() => openData(parts, options))).fix).toBe(`give ${join(parts, 'train')}`);
  });

  it('is refused when there is nothing in it, and it says what there is', async () => {
    expect((await failure(() => openData(folderOf({}), options))).message).toMatch(/no pictures in it: it is empty/);
    const bitmaps = folderOf({ 'a/1.bmp': 'BM', 'a/2.bmp': 'BM', 'b/x.txt': 'x' });
    expect(await failure(() => openData(bitmaps, options))).toMatchObject({
      code: 'no-data',
      why: 'it holds 2 .bmp, 1 .txt',
    });
  });

  it('changes its fingerprint with names and labels only', async () => {
    const print = async (files: Record<string, Uint8Array>) => {
      const data = await openData(folderOf(files), options);
      await data.close();
      return data.fingerprint;
    };
    const first = await print({ 'a/1.png': flat(1), 'b/2.png': flat(2) });
    expect(await print({ 'a/1.png': flat(7), 'b/2.png': flat(2) })).toBe(first);
    expect(await print({ 'a/1.png': flat(1), 'a/2.png': flat(2) })).not.toBe(first);
    expect(await print({ 'a/1.png': flat(1), 'b/3.png': flat(2) })).not.toBe(first);
  });
});

describe('broken files', () => {
  const files = { 'a/1.png': flat(1), 'a/broken.png': 'x', 'b/2.png': flat(2), 'b/empty.png': '' };
  const take = async (dataset: Dataset, n: number) => {
    const out: Batch[] = [];
    for await (const batch of prefetch(dataset, { batch: 3, seed: 1 })) if (out.push(batch) === n) break;
    return out;
  };

  it('are left out', async () => {
    const data = await openData(folderOf(files), { ...options, onBad: 'skip' });
    const batches = await take(data, 4);
    const value = (level: number) => Math.fround(level / 127.5 - 1);
    for (const { x, y } of batches) for (let i = 0; i < 3; i++) expect(x[i * 64]).toBe(value(y[i] === 0 ? 1 : 2));
    await data.close();
  });

  it('end the training where that is wanted', async () => {
    const data = await openData(folderOf(files), options);
    const error = await failure(() => take(data, 2));
    expect(error.code).toBe('bad-example');
    expect(error.where).toMatch(/broken\.png|empty\.png/);
    await data.close();
  });

  it('may be all of them', async () => {
    const data = await openData(folderOf({ 'a/1.png': 'x', 'b/2.png': '' }), { ...options, onBad: 'skip' });
    expect(await failure(() => take(data, 1))).toMatchObject({ code: 'no-data' });
    await data.close();
  });
});

describe('threads', () => {
  const shape = [3, 32, 32] as const;
  const classes = () => {
    const root = folderOf({ 'a/bad.png': 'x' });
    for (const name of ['b', 'c']) symlinkSync(PICTURES, join(root, name));
    return root;
  };

  it('decode to the same batches as without, cached or not, and again from the middle', async () => {
    const root = classes();
    const run = async (workers: number, cacheBytes: number, from?: Batch['next']) => {
      const data = await openData(root, { shape, workers, cacheBytes, flip: true, onBad: 'skip' });
      const out: Batch[] = [];
      for await (const batch of prefetch(data, { batch: 7, seed: 4, position: from }))
        if (out.push(batch) === (from ? 3 : 8)) break;
      await data.close();
      return out;
    };
    const here = await run(0, 0);
    expect(await run(2, 0)).toEqual(here);
    expect(await run(1, 2 ** 16)).toEqual(here);
    expect(await run(2, 2 ** 30, here[4].next)).toEqual(here.slice(5));
    expect(new Set(here.flatMap(({ examples }) => [...examples])).size).toBeGreaterThan(20);
  });

  it('tell of a bad file as without, and end what waits when they are closed', async () => {
    const root = folderOf({ 'a/1.png': flat(1), 'a/bad.png': 'x' });
    const data = await openData(root, { shape, workers: 1 });
    const error = await failure(() => data.read(1, false));
    expect(error).toMatchObject({ code: 'bad-example', where: join(root, 'a', 'bad.png') });
    expect((await data.read(0, false)).length).toBe(3 * 32 * 32);
    writeFileSync(join(root, 'a', 'bad.png'), flat(3));
    const waiting = data.read(1, false);
    await Promise.all([data.close(), expect(waiting).rejects.toMatchObject({ code: 'closed' })]);
    expect(await failure(() => data.read(1, false))).toMatchObject({ code: 'closed' });
  });
});
