/** A folder's lock: one holder at a time, and none that has ended; what killed processes left is swept, what runs is not. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  copyFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { checkUnlocked, lockFolder, LOCK_FILE } from '../../../runtime/node/lock.ts';
import { isRunning, ownProcess, parseProcess, processText, type ProcessId } from '../../../runtime/node/process.ts';
import { sweepTemporaries, temporaryIn, discard, discardAll } from '../../../runtime/node/temporary.ts';

let folder: string;
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), 'ditc-lock-'))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** A number that belongs to no process. */
const ended = (): number => spawnSync(process.execPath, ['-e', '']).pid;

const lockOf = (holder: ProcessId) =>
  writeFileSync(
    join(folder, LOCK_FILE),
    JSON.stringify({ process: holder, host: 'elsewhere', since: '2026-01-01T00:00:00Z', doing: 'ditc train' }),
  );
const own = ownProcess();
const onAnotherMachine: ProcessId = { ...own, host: 'abcdef', boot: '012345' };

describe('a lock', () => {
  it('is held until it is given back, and says by whom', () => {
    const unlock = lockFolder(folder, 'ditc train');
    expect(readdirSync(folder)).toEqual([LOCK_FILE]);
    expect(JSON.parse(readFileSync(join(folder, LOCK_FILE), 'utf8'))).toMatchObject({ process: own, host: hostname() });
    const again = () => lockFolder(folder, 'ditc train');
    expect(again).toThrow(`another process is writing there: ditc train, process ${process.pid}, since 20`);
    expect(() => checkUnlocked(folder)).toThrow('wait for it, end it, or give another folder');
    unlock();
    expect(readdirSync(folder)).toEqual([]);
    again()();
    expect(readdirSync(folder)).toEqual([]);
  });

  it.each<[string, () => ProcessId]>([
    ['has ended', () => ({ ...own, pid: ended() })],
    ['has ended, its number given to another since', () => ({ ...own, start: 'before' })],
    ['ran before the machine was started anew', () => ({ ...own, boot: '012345' })],
  ])('of a process that %s is taken over', (_, holder) => {
    lockOf(holder());
    expect(isRunning(holder())).toBe(false);
    lockFolder(folder, 'ditc train')();
    expect(readdirSync(folder)).toEqual([]);
  });

  it('of another machine holds while that one touches it, and the error says how to remove it', () => {
    lockOf(onAnotherMachine);
    expect(() => lockFolder(folder, 'ditc train')).toThrow(`if it is known to have ended, remove ${folder}`);
    expect(readdirSync(folder)).toEqual([LOCK_FILE]);
    const before = Date.now() / 1000 - 300;
    utimesSync(join(folder, LOCK_FILE), before, before);
    lockFolder(folder, 'ditc train')();
  });

  it('that another has taken over meanwhile is not given back by who held it before', () => {
    const unlock = lockFolder(folder, 'ditc train');
    // Suspended for so long that another machine took it for gone.
    lockOf(onAnotherMachine);
    const others = readFileSync(join(folder, LOCK_FILE), 'utf8');
    unlock();
    expect(readdirSync(folder)).toEqual([LOCK_FILE]);
    expect(readFileSync(join(folder, LOCK_FILE), 'utf8')).toBe(others);
  });

  it('is removed by the signal that ends its process, and no other’s is', () => {
    const unlock = lockFolder(folder, 'ditc train');
    discardAll();
    expect(readdirSync(folder)).toEqual([]);
    lockOf(onAnotherMachine);
    discardAll();
    expect(readdirSync(folder)).toEqual([LOCK_FILE]);
    unlock();
    expect(readdirSync(folder)).toEqual([LOCK_FILE]);
  });

  it.each(['', '{', '{"process": {}}', '{"process": {"pid": "1"}}', 'null'])(
    'that is none, as %j, holds nobody up',
    (text) => {
      writeFileSync(join(folder, LOCK_FILE), text);
      lockFolder(folder, 'ditc train')();
      expect(readdirSync(folder)).toEqual([]);
    },
  );
});

describe('the lock of a process that has ended', () => {
  it('is taken over though another was killed while it did so, and what that one left goes', () => {
    lockOf({ ...own, pid: ended() });
    for (const name of ['.next', '.next.next']) copyFileSync(join(folder, LOCK_FILE), join(folder, LOCK_FILE + name));
    lockFolder(folder, 'ditc train')();
    expect(readdirSync(folder)).toEqual([]);
    copyFileSync(new URL(import.meta.url), join(folder, `${LOCK_FILE}.next`));
    lockFolder(folder, 'ditc train')();
    expect(readdirSync(folder)).not.toContain(`${LOCK_FILE}.next`);
  });

  it('goes to one of several that want it at once, every time', async () => {
    const stale = mkdtempSync(join(tmpdir(), 'ditc-stale-'));
    const lock = join(stale, 'lock');
    lockOf({ ...own, pid: ended() });
    renameSync(join(folder, LOCK_FILE), lock);
    copyFileSync(lock, join(folder, LOCK_FILE));
    const child = fileURLToPath(new URL('./lock-child.ts', import.meta.url));
    const args = ['--import', 'tsx', child, folder, '150', lock];
    const ends = Array.from({ length: 4 }, async () => {
      const [code] = (await once(spawn(process.execPath, args, { stdio: 'inherit', timeout: 60_000 }), 'exit')) as [
        number | null,
      ];
      return code;
    });
    expect(await Promise.all(ends)).toEqual([0, 0, 0, 0]);
    expect(readdirSync(folder)).toEqual([LOCK_FILE]);
    rmSync(stale, { recursive: true });
  });
});

describe('a process', () => {
  it('is the same in a file name', () => {
    expect(parseProcess(processText(own))).toEqual(own);
    const bare = { host: 'abcdef', boot: '', space: '', pid: 35, start: '' };
    expect(parseProcess(processText(bare))).toEqual(bare);
    expect(parseProcess('abcdef-x')).toBeUndefined();
    expect(isRunning(own)).toBe(true);
  });
});

describe('temporary files', () => {
  const left = (by: ProcessId, ending = 'tmp', ageHours = 0) => {
    const path = join(folder, `.ditc-${processText(by)}-0.${ending}`);
    writeFileSync(path, 'half');
    const at = Date.now() / 1000 - 3600 * ageHours;
    utimesSync(path, at, at);
    return path;
  };

  it('of a process that was killed are swept; those of running ones, and files of others, are not', () => {
    const gone = [left({ ...own, pid: ended() }), left({ ...own, start: 'before' }), left(onAnotherMachine, 'new', 25)];
    const kept = [left(own), left(onAnotherMachine, 'tmp', 1)];
    const others = ['.ditc-notes.tmp', '.ditc-1234-abc-0.tmp', 'model.tmp'].map((name) => join(folder, name));
    for (const path of others) writeFileSync(path, 'mine');
    expect(sweepTemporaries(folder).sort()).toEqual(kept.sort());
    for (const path of gone) expect(existsSync(path)).toBe(false);
    for (const path of [...kept, ...others]) expect(existsSync(path)).toBe(true);
  });

  it('are swept by the next that writes into the folder', () => {
    const path = left({ ...own, pid: ended() });
    const mine = temporaryIn(folder, 'tmp');
    expect(existsSync(path)).toBe(false);
    writeFileSync(mine, '');
    discard(mine);
    expect(readdirSync(folder)).toEqual([]);
  });
});
