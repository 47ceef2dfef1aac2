import { accessSync, constants, existsSync, statSync } from 'node:fs';
import { dirname } from 'node:path';

/** Throws the system's error unless files can be made in `folder`, or in the nearest ancestor that is there. */
export function checkWritable(folder: string): void {
  let existing = folder;
  while (!existsSync(existing) && dirname(existing) !== existing) existing = dirname(existing);
  if (!statSync(existing).isDirectory()) throw Object.assign(new Error(), { code: 'ENOTDIR' });
  accessSync(existing, constants.W_OK | constants.X_OK);
}
