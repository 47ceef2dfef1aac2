/** The folder of an artefact: which files in it a build wrote. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { checkFolder, writeFolder, type Files, type FolderKind } from './written-folder.ts';

const MANIFEST = 'manifest.json';
const OTHERS = ['graph.ir', 'index.ts', 'constants.safetensors', 'remarks.json', 'report.html'];

const ARTEFACT: FolderKind = {
  name: 'artefact',
  option: '--out',
  usual: [MANIFEST, ...OTHERS],
  listed(folder) {
    const names = builtFiles(folder);
    // A manifest may come from anywhere: what it lists is ours only where a build puts files.
    return names.filter((name) => /^(kernels\/)?\w[\w.-]*$/.test(name));
  },
};

/** What the manifest in the folder lists; nothing where there is none, or it is one of something else. */
function builtFiles(folder: string): string[] {
  let manifest: unknown;
  try {
    manifest = JSON.parse(readFileSync(join(folder, MANIFEST), 'utf8'));
  } catch {
    return [];
  }
  const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;
  if (!isObject(manifest) || typeof manifest.format !== 'number') return [];
  const { entries, kernels, files } = manifest;
  if (!isObject(entries) || !isObject(kernels)) return [];
  if (isObject(files)) return [MANIFEST, ...Object.keys(files)];
  // Manifests of older versions do not list them.
  const shaders = Object.values(kernels).map((kernel) => String(isObject(kernel) ? kernel.file : ''));
  return [MANIFEST, ...OTHERS, ...shaders];
}

/** Throws unless an artefact can be written at `path`: nothing that no build wrote may be in the way. */
export const checkArtefactFolder = (path: string): void => void checkFolder(path, ARTEFACT);

/** Puts an artefact's files at `path`, in the place of what an earlier build wrote. */
export const writeArtefactFolder = (path: string, files: Files): void => writeFolder(path, files, ARTEFACT);
