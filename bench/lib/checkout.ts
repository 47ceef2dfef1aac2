/** Folders of an earlier commit beside this checkout's packages, gone when the process ends. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** A commit's files, or those under `paths`, in a folder of its own. `shared`: what else lies there is of this checkout. */
export function checkout(commit: string, paths: readonly string[], shared = readdirSync(ROOT)): string {
  const root = mkdtempSync(join(tmpdir(), 'ditc-bench-'));
  process.on('exit', () => rmSync(root, { recursive: true, force: true }));
  const archive = join(root, 'commit.tar');
  writeFileSync(archive, execFileSync('git', ['archive', commit, ...paths], { cwd: ROOT, maxBuffer: 2 ** 30 }));
  execFileSync('tar', ['-xf', archive, '-C', root]);
  rmSync(archive);
  const own = new Set(readdirSync(root));
  for (const name of shared) if (!own.has(name)) symlinkSync(join(ROOT, name), join(root, name));
  return root;
}
