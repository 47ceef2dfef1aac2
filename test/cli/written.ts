/** What a training has written, whenever it ran. */
import { readdirSync } from 'node:fs';

/** Everything in a folder, hidden files too; of event files, which are called by time and process, that there are some. */
export function writtenIn(folder: string, { below = false } = {}): string[] {
  const names = readdirSync(folder, { recursive: below, encoding: 'utf8' });
  return [...new Set(names.map((name) => name.replace(/^(events\.out\.tfevents\.).*/, '$1')))].sort();
}
