/** The module that a page imports, its types, and a page to begin with: as they are in page/. */
import { readFileSync } from 'node:fs';

const FILES = ['index.js', 'index.d.ts', 'index.html', 'page.js', 'page.css'] as const;

/** Files by name. */
export const page = (): [string, string][] =>
  FILES.map((name) => [name, readFileSync(new URL(`./page/${name}`, import.meta.url), 'utf8')]);
