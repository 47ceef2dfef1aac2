/**
 * What files are called in locations, errors and artefacts: relative, with `/`, the same on every machine. An absolute
 * path never gets in, so an artefact does not depend on where a checkout lies.
 */
import { existsSync, realpathSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

export const slash = (path: string): string => path.replaceAll('\\', '/');

/** The folder that this code lies in, without a trailing slash: the package's own, or `dist` in it where it is built. */
export const CODE_ROOT = slash(realpathSync(fileURLToPath(new URL('../..', import.meta.url)))).replace(/\/$/, '');
/** The folder of this package. */
export const PACKAGE_ROOT = existsSync(`${CODE_ROOT}/package.json`) ? CODE_ROOT : dirname(CODE_ROOT);
/** The DSL as models are type-checked against it: its sources, or the declarations that were built from them. */
export const DSL_INDEX = ['ts', 'd.ts']
  .map((ending) => `${CODE_ROOT}/compiler/dsl/index.${ending}`)
  .find((file) => existsSync(file))!;

const isUnder = (file: string, folder: string): boolean =>
  slash(file).startsWith(`${slash(folder).replace(/\/$/, '')}/`);

/** Files of the compiler itself: never type-checked for the user, never instrumented. */
export const isCompilerFile = (file: string): boolean => isUnder(file, `${CODE_ROOT}/compiler`);

/** The models that come with this package. */
export const isPackageModel = (file: string): boolean => isUnder(file, `${PACKAGE_ROOT}/models`);

export interface DisplayBase {
  readonly cwd: string;
  /** The folder of the model file being loaded. */
  readonly modelFolder: string;
}

/**
 * The name of a file: this package's models are `models/dit.ts` wherever the command runs; other files are relative to
 * the working directory, else to the nearest folder with a package.json, else to the model file's folder.
 */
export function displayPath(file: string, { cwd, modelFolder }: DisplayBase): string {
  const folder = isPackageModel(file) ? PACKAGE_ROOT : isUnder(file, cwd) ? cwd : (packageFolder(file) ?? modelFolder);
  return slash(relative(folder, file));
}

function packageFolder(file: string): string | undefined {
  for (let folder = dirname(file); folder !== dirname(folder); folder = dirname(folder)) {
    if (existsSync(join(folder, 'package.json'))) return folder;
  }
  return undefined;
}

/** The absolute, symlink-free form of a path; only resolved when nothing is there. */
export function realPath(path: string, cwd: string): string {
  const absolute = resolve(cwd, path);
  return slash(existsSync(absolute) ? realpathSync(absolute) : absolute);
}
