/** Folders of model files: of this checkout, or of a commit before it. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const FOLDERS = ['models', 'test/models/zoo'];

/** Model files of a commit lie in a folder in which all else is this checkout: they import the compiler of today. */
export function modelFolders(commit?: string): string[] {
  const root = commit === undefined ? ROOT : extracted(commit);
  return FOLDERS.map((folder) => join(root, folder));
}

function extracted(commit: string): string {
  const root = mkdtempSync(join(tmpdir(), 'ditc-models-'));
  process.on('exit', () => rmSync(root, { recursive: true, force: true }));
  const archive = join(root, 'models.tar');
  writeFileSync(archive, execFileSync('git', ['archive', commit, ...FOLDERS], { cwd: ROOT, maxBuffer: 2 ** 30 }));
  execFileSync('tar', ['-xf', archive, '-C', root]);
  const own = new Set(readdirSync(root));
  for (const name of readdirSync(ROOT)) if (!own.has(name)) symlinkSync(join(ROOT, name), join(root, name));
  return root;
}
