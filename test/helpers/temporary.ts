/**
 * What a file's tests write into the folder for temporary files, themselves or by the processes that they start, is gone after them,
 * also where one fails. A setup file: it runs before each file of tests.
 */
import { mkdtempSync, readdirSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';

const PREFIX = 'ditc-tests-';
const before = process.env.TMPDIR;
const parent = realpathSync(tmpdir());

/** Of processes that were killed. */
for (const name of readdirSync(parent)) {
  const pid = Number(/^ditc-tests-(\d+)-/.exec(name)?.[1] ?? process.pid);
  if (pid !== process.pid && !isRunning(pid)) rmSync(join(parent, name), { recursive: true, force: true });
}

const own = mkdtempSync(join(parent, `${PREFIX}${process.pid}-`));
process.env.TMPDIR = own;
afterAll(() => {
  if (before === undefined) delete process.env.TMPDIR;
  else process.env.TMPDIR = before;
  rmSync(own, { recursive: true, force: true });
});

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
