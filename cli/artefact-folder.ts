/**
 * Writes a folder of files (an artefact, a failed check) whole or not at all: the files go to a new folder beside it, which
 * then takes its place. What an earlier run left behind goes with the old folder.
 */
import { existsSync, lstatSync, mkdirSync, readdirSync, realpathSync } from 'node:fs';
import { renameSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { DitcError } from '../compiler/ir/error.ts';
import { fileError } from './errors.ts';
import { discard, temporaryIn } from '../runtime/node/temporary.ts';
import { checkWritable } from './out-path.ts';

/** A kind of folder that is replaced as a whole. */
export interface FolderKind {
  /** What it may hold at the top: anything else there is not ours to delete. */
  readonly own: ReadonlySet<string>;
  /** For errors: `cannot write the artefact`. */
  readonly name: string;
  /** The option that chooses another place. */
  readonly option: string;
}

/** What a build writes (compiler/emit/write.ts). */
const ARTEFACT_FILES = [
  'manifest.json',
  'graph.ir',
  'index.ts',
  'constants.safetensors',
  'remarks.json',
  'report.html',
  'kernels',
];
const ARTEFACT: FolderKind = { own: new Set(ARTEFACT_FILES), name: 'artefact', option: '--out' };

/**
 * Throws unless an artefact (or another such folder) can be written at `path`, before the work of making one: it must be
 * new, empty, or hold one and nothing else, because what is there will be deleted.
 */
export function checkArtefactFolder(path: string, { own, name, option }: FolderKind = ARTEFACT): void {
  const what = `cannot write the ${name} there`;
  try {
    if (existsSync(path)) {
      const foreign = readdirSync(path).filter((file) => !own.has(file));
      if (foreign.length) {
        const shown = foreign.slice(0, 3).join(', ') + (foreign.length > 3 ? ', …' : '');
        const why = `it would replace the whole folder, which holds other files: ${shown}`;
        throw new DitcError({ code: 'io', where: path, what, why, fix: `choose another ${option}, or move them away` });
      }
    }
    checkWritable(dirname(resolve(path)));
  } catch (error) {
    throw fileError(path, what, error);
  }
}

/** Puts the files at `path`, replacing what is there. */
export async function writeArtefactFolder(
  path: string,
  files: ReadonlyMap<string, string | Uint8Array>,
  kind: FolderKind = ARTEFACT,
): Promise<void> {
  checkArtefactFolder(path, kind);
  // Through a symbolic link, the folder it points at is replaced, not the link.
  const target = existsSync(path) ? realpathSync(path) : resolve(path);
  let fresh: string | undefined;
  try {
    mkdirSync(dirname(target), { recursive: true });
    fresh = temporaryIn(dirname(target), 'new');
    const folder = join(fresh, 'new');
    for (const [name, content] of files) {
      const file = join(folder, name);
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, content);
    }
    swap(folder, target, join(fresh, 'old'));
  } catch (error) {
    throw fileError(path, `cannot write the ${kind.name}`, error);
  } finally {
    if (fresh) discard(fresh);
  }
}

/** `folder` becomes `target`; what was there is moved to `old`, and back when the second step fails. */
function swap(folder: string, target: string, old: string): void {
  const replaced = lstatSync(target, { throwIfNoEntry: false }) !== undefined;
  if (replaced) renameSync(target, old);
  try {
    renameSync(folder, target);
  } catch (error) {
    if (replaced) renameSync(old, target);
    throw error;
  }
}
