/** The module that a page imports, its types, and a page to begin with: as they are in page/. */
import { readFileSync } from 'node:fs';

/** Their names. */
export const PAGE_FILES = [
  ...['index.js', 'index.d.ts', 'index.html', 'icon.svg', 'page.css', 'page.js'],
  ...['chart.js', 'draw.js', 'inside.js', 'paint.js', 'shared.js', 'tabs.js', 'train.js'],
] as const;

/** Files by name. */
export const page = (): [string, string][] =>
  PAGE_FILES.map((name) => [name, readFileSync(new URL(`./page/${name}`, import.meta.url), 'utf8')]);
