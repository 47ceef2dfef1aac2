/**
 * Takes a folder's lock again and again, each time from a process that has ended; with another inside at the same moment it exits
 * with 3. Arguments: the folder, how often, and a file that is a lock of a process that has ended.
 */
import { linkSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { lockFolder, LOCK_FILE } from '../../../runtime/node/lock.ts';

const [folder, times, stale] = process.argv.slice(2);
const inside = join(folder, 'inside');
const has = (error: unknown, code: string) => (error as { code?: string }).code === code;

for (let taken = 0; taken < Number(times);) {
  try {
    const unlock = lockFolder(folder, 'a test');
    writeFileSync(inside, '', { flag: 'wx' });
    taken++;
    if (taken % 8 === 0) await setTimeout(1);
    rmSync(inside);
    unlock();
    linkSync(stale, join(folder, LOCK_FILE));
  } catch (error) {
    if (has(error, 'EEXIST') && (error as { syscall?: string }).syscall === 'open') process.exit(3);
    if (!has(error, 'locked') && !has(error, 'EEXIST')) throw error;
    await setTimeout(Math.random());
  }
}
