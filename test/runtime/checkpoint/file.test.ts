/** runtime/node/file.ts: it lives with the checkpoint tests because it is their way to the disk. */
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { openFile, writeAtomically } from '../../../runtime/node/file.ts';
import { discardAll } from '../../../runtime/node/temporary.ts';
import { failure } from './support.ts';

const dir = mkdtempSync(join(tmpdir(), 'ditc-file-'));
afterAll(() => rm(dir, { recursive: true, force: true }));
const path = (name: string) => join(dir, name);
const bytes = (...values: number[]) => Uint8Array.from(values);
const leftovers = () => readdirSync(dir).filter((name) => name.endsWith('.tmp'));

describe('openFile', () => {
  it('reads any range and refuses to read past the end', async () => {
    writeFileSync(path('r'), bytes(0, 1, 2, 3, 4));
    const file = await openFile(path('r'));
    expect(file.size).toBe(5);
    expect(await file.read(1, 3)).toEqual(bytes(1, 2, 3));
    expect(await file.read(5, 0)).toEqual(bytes());
    for (const [offset, length] of [
      [3, 3],
      [-1, 2],
      [0, -1],
      [0.5, 1],
      [2 ** 53, 1],
      [NaN, 1],
    ]) {
      expect((await failure(() => file.read(offset, length))).code).toBe('truncated');
    }
    truncateSync(path('r'), 2);
    expect((await failure(() => file.read(0, 5))).message).toContain('the file ends too early');
    await file.close();
  });

  it('names the path and the reason when it cannot open', async () => {
    const missing = await failure(() => openFile(path('none')));
    expect(missing.message).toBe(
      `${path('none')}: cannot open the file: no such file or folder (ENOENT); check the path`,
    );
    expect((await failure(() => openFile(dir))).message).toContain('it is a folder (EISDIR)');
    execFileSync('mkfifo', [path('fifo')]);
    expect((await failure(() => openFile(path('fifo')))).message).toContain('not a regular file');
  });
});

describe('writeAtomically', () => {
  it('writes a new file and replaces an old one', async () => {
    await writeAtomically(path('w'), async (write) => {
      await write(bytes(1, 2));
      expect(existsSync(path('w'))).toBe(false);
      await write(bytes(3));
    });
    expect([...readFileSync(path('w'))]).toEqual([1, 2, 3]);
    await writeAtomically(path('w'), async (write) => write(bytes(9)));
    expect([...readFileSync(path('w'))]).toEqual([9]);
    expect(leftovers()).toEqual([]);
  });

  it('leaves the old file and no other when the body fails', async () => {
    writeFileSync(path('keep'), 'old');
    const broken = writeAtomically(path('keep'), async (write) => {
      await write(bytes(1, 2, 3));
      throw new Error('half way');
    });
    await expect(broken).rejects.toThrow('half way');
    expect(readFileSync(path('keep'), 'utf8')).toBe('old');
    expect(leftovers()).toEqual([]);
  });

  it('writes through a symbolic link', async () => {
    writeFileSync(path('target'), 'old');
    symlinkSync('target', path('link'));
    await writeAtomically(path('link'), async (write) => write(bytes(65)));
    expect(readlinkSync(path('link'))).toBe('target');
    expect(readFileSync(path('target'), 'utf8')).toBe('A');
  });

  it('explains an unwritable path, before the body runs', async () => {
    const never = async () => expect.unreachable();
    mkdirSync(path('folder'));
    expect((await failure(() => writeAtomically(path('no/such/x'), never))).message).toContain(
      '(ENOENT); create the folder first',
    );
    expect((await failure(() => writeAtomically(path('folder'), never))).message).toContain('it is a folder (EISDIR)');
    expect((await failure(() => writeAtomically(path('w/x'), never))).message).toContain('(ENOTDIR)');
    expect((await failure(() => writeAtomically('/dev/null', never))).message).toContain('not a regular file');
    expect((await failure(() => writeAtomically('', never))).code).toBe('io');
    expect((await failure(() => writeAtomically('/proc/x', never))).where).toBe('/proc/x');
  });

  it('clears up when the process is told to end', async () => {
    const interrupted = writeAtomically(path('late'), async (write) => {
      await write(bytes(1));
      expect(leftovers()).toHaveLength(1);
      discardAll();
      expect(leftovers()).toEqual([]);
    });
    expect((await failure(() => interrupted)).code).toBe('io');
    expect(existsSync(path('late'))).toBe(false);
  });
});
