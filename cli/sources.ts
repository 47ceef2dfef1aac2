/** Source files of a built model, looked for where they most likely are. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { PACKAGE_ROOT } from '../compiler/frontend/paths.ts';

/**
 * The text of files that places in an artefact name: relative to a folder above the artefact in which `source`, the model
 * file, lies; for ditc's own models, the package. Undefined when it is not found.
 */
export function sourcesFrom(folder: string, source: string): (file: string) => string | undefined {
  const above: string[] = [];
  for (let at = resolve(folder); dirname(at) !== at; at = dirname(at)) above.push(dirname(at));
  const home = above.find((at) => existsSync(join(at, source)));
  return (file) => {
    const path = [home, PACKAGE_ROOT]
      .flatMap((root) => (root ? [join(root, file)] : []))
      .find((name) => existsSync(name));
    return path && readFileSync(path, 'utf8');
  };
}
