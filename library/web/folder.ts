/** The folder of a web build: which files in it a build wrote. */
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { ModelFile } from '../../runtime/web/model-file.ts';
import { PAGE_FILES } from './page.ts';
import { discard, temporaryIn } from '../../runtime/node/temporary.ts';
import { fileError } from '../file-error.ts';
import { checkFolder, OnDisk, writeFolder, writeToDisk, type Files, type FolderKind } from '../written-folder.ts';

const MODEL = 'model.json';
const OTHERS = [...PAGE_FILES, 'runtime.js', 'training.js'];

const WEB: FolderKind = {
  name: 'web build',
  option: '--out',
  usual: [MODEL, ...OTHERS],
  listed: (folder) => (modelIn(folder)?.variants ? [...OTHERS, ...namedIn(folder)] : []),
};

/** It may come from anywhere: what it lists is ours only where a build puts files. */
const OWN = /^(code|weights|data)\/\w[\w.-]*$/;

/** The files of a model, and of what is trained beside it. */
function namedIn(folder: string): string[] {
  const { variants, weights, training, trainer } = modelIn(folder) ?? {};
  if (!Array.isArray(variants)) return [];
  const chunks = [...Object.values(weights ?? {}).flatMap((set) => set?.chunks ?? []), ...(training?.images ?? [])];
  const named = [...variants.map((variant) => variant?.code), ...chunks, ...(training?.labels ?? [])];
  const own = named.map((stored) => String(stored?.file)).filter((name) => OWN.test(name));
  const below = typeof trainer === 'string' && /^\w+\/$/.test(trainer) ? namedIn(join(folder, trainer)) : [];
  return [MODEL, ...own, ...below.map((name) => `${trainer}${name}`)];
}

function modelIn(folder: string): Partial<ModelFile> | undefined {
  try {
    return JSON.parse(readFileSync(join(folder, MODEL), 'utf8')) as Partial<ModelFile>;
  } catch {
    return undefined;
  }
}

/** Throws unless a web build can be written at `path`: nothing that no build wrote may be in the way. */
export const checkWebFolder = (path: string): void => void checkFolder(path, WEB);

/** Puts its files at `path`, in the place of what an earlier build wrote. */
export const writeWebFolder = (path: string, files: Files): void => writeFolder(path, files, WEB);

/** Where weights are until a folder is written at `path`: on its disk, for they may be more than memory holds. */
export function spoolFor(path: string): { readonly keep: (bytes: Uint8Array) => OnDisk; readonly discard: () => void } {
  const folder = temporaryIn(nearestFolder(resolve(path)), 'new');
  let count = 0;
  return {
    keep(bytes) {
      const file = join(folder, String(count++));
      try {
        mkdirSync(folder, { recursive: true });
        writeToDisk(file, bytes);
      } catch (error) {
        throw fileError(path, `cannot write the ${WEB.name}`, error);
      }
      return new OnDisk(file);
    },
    discard: () => discard(folder),
  };
}

/** The folder itself, or the one above it that is there. */
const nearestFolder = (path: string): string => (existsSync(path) ? path : nearestFolder(dirname(path)));
