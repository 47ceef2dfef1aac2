/** Pages that are a table, made a row at a time: rows that a run leaves out stay as they were, so that a page may be made in parts. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';

const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;

export interface Page {
  readonly path: string;
  readonly heads: readonly string[];
  /** Above the table; what is there already unless told. */
  readonly text?: string;
}

const linesBefore = (head: string, lines: readonly string[]) => lines.slice(0, Math.max(0, lines.indexOf(head)));

/** Puts a row in its place, which its first cell says. */
export function putRow({ path, heads, text }: Page, cells: readonly string[]): void {
  const rule = heads.map((_, i) => (i ? '--:' : '---'));
  const above = [line(heads), line(rule)];
  const before = existsSync(path) ? readFileSync(path, 'utf8').split('\n') : [];
  const top = text ?? linesBefore(above[0], before).join('\n').trimEnd();
  const rows = new Map(
    before.flatMap((row) =>
      row.startsWith('| ') && !above.includes(row) ? [[row.slice(2, row.indexOf(' | ')), row]] : [],
    ),
  );
  rows.set(cells[0], line(cells));
  const sorted = [...rows].sort(([a], [b]) => a.localeCompare(b, 'en', { numeric: true }));
  writeFileSync(path, [top, '', ...above, ...sorted.map(([, row]) => row), ''].join('\n'));
}

export const today = (): string => new Date().toISOString().slice(0, 10);
