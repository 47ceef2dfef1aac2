/** A path as a user would write it. */
import { relative } from 'node:path';

export function shownPath(path: string): string {
  const short = relative(process.cwd(), path);
  return short && !short.startsWith('..') ? short : path;
}
