/** Remembers which file on disk a name in a location stands for, so that an error can show its line even when loading failed. */
import { readFileSync } from 'node:fs';

const absolute = new Map<string, string>();

/** Notes that `name` stands for `file`; returns `name`. */
export function remember(name: string, file: string): string {
  absolute.set(name, file);
  return name;
}

/** The text of a file by its name in locations; undefined when there is none. What formatDiagnostic reads with. */
export function readSource(name: string): string | undefined {
  try {
    return readFileSync(absolute.get(name) ?? name, 'utf8');
  } catch {
    return undefined;
  }
}
