/** Remembers which file on disk a name in a location stands for, so that an error can show its line even when loading failed. */
import { readFileSync } from 'node:fs';

const absolute = new Map<string, string>();

/** Notes that `name` stands for `file`; returns `name`. */
export function remember(name: string, file: string): string {
  absolute.set(name, file);
  return name;
}

const texts = new Map<string, string>();

/** Notes the text that `name` stands for, where that is no file: standard input. */
export const rememberText = (name: string, text: string): void => void texts.set(name, text);

/** The text of a file by its name in locations; undefined when there is none. What formatDiagnostic reads with. */
export function readSource(name: string): string | undefined {
  if (texts.has(name)) return texts.get(name);
  try {
    return readFileSync(absolute.get(name) ?? name, 'utf8');
  } catch {
    return undefined;
  }
}
