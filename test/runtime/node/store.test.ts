import { mkdtempSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Store } from '../../../runtime/node/store.ts';

let folder: string;
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), 'ditc-store-'))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const bytes = (length: number, value = 1) => new Uint8Array(length).fill(value);
const size = () => readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);

/** Makes what is in the folder look as old as that. */
function age(hours: number): void {
  const then = new Date(Date.now() - hours * 3600_000);
  for (const name of readdirSync(folder)) utimesSync(join(folder, name), then, then);
}

describe('a store', () => {
  it('gives what was written, the last of it, and nothing under another name', () => {
    const store = new Store(join(folder, 'made'));
    expect(store.read('a')).toBeUndefined();
    store.write('a', bytes(3));
    store.write('a', bytes(4, 2));
    expect([...store.read('a')!]).toEqual([2, 2, 2, 2]);
    expect(store.read('b')).toBeUndefined();
    store.write('nothing', bytes(0));
    expect(store.read('nothing')!.length).toBe(0);
  });

  it('stays below its limit, and what was not used for longest goes first', () => {
    const store = new Store(folder, 1000);
    for (const name of ['a', 'b', 'c']) {
      age(2);
      store.write(name, bytes(200));
    }
    age(2);
    expect(store.read('a')).toBeDefined();
    for (const name of ['d', 'e']) store.write(name, bytes(200));
    expect(size()).toBeLessThanOrEqual(1000);
    expect(['a', 'd', 'e'].map((name) => store.read(name)?.length)).toEqual([200, 200, 200]);
    expect(['b', 'c'].filter((name) => store.read(name)).length).toBeLessThan(2);
  });

  it('takes nothing that would push all else out', () => {
    const store = new Store(folder, 1000);
    store.write('a', bytes(100));
    store.write('large', bytes(900));
    expect(store.read('large')).toBeUndefined();
    expect(store.read('a')).toBeDefined();
  });

  it('leaves other files alone', () => {
    writeFileSync(join(folder, 'notes.txt'), 'x'.repeat(2000));
    new Store(folder, 1000).write('a', bytes(100));
    expect(readdirSync(folder)).toContain('notes.txt');
  });
});
