/** Folders of model files: of this checkout, or of a commit before it. */
import { join } from 'node:path';
import { checkout, ROOT } from './checkout.ts';

const FOLDERS = ['models', 'test/models/zoo'];

/** Model files of a commit lie in a folder in which all else is this checkout: they import the compiler of today. */
export function modelFolders(commit?: string): string[] {
  const root = commit === undefined ? ROOT : checkout(commit, FOLDERS);
  return FOLDERS.map((folder) => join(root, folder));
}
