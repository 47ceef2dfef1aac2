/** Numbers and tables for people. */
import { bytes, si } from '../library/units.ts';

export { bytes, si };

/** 675,129,632 */
export const grouped = (n: number): string => n.toLocaleString('en-US');

/** `118.6 GMAC` */
export const macs = (n: number): string => (n < 1000 ? `${n} MAC` : `${si(n)}MAC`);

/** `1,243 images/s`, `8.31 images/s` */
export const rate = (perSecond: number): string =>
  `${perSecond < 100 ? perSecond.toPrecision(3) : grouped(Math.round(perSecond))} images/s`;

export const seconds = (ms: number): string => (ms < 120_000 ? `${(ms / 1000).toFixed(1)} s` : clock(ms / 1000));

/** 65 → `1:05` */
export function clock(s: number): string {
  const [hours, minutes, rest] = [Math.floor(s / 3600), Math.floor((s % 3600) / 60), Math.floor(s % 60)];
  const two = (n: number) => String(n).padStart(2, '0');
  return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}

export const plural = (n: number, one: string, many = `${one}s`): string => `${grouped(n)} ${n === 1 ? one : many}`;

/** Rows in columns, two spaces between; columns in `right` are right-aligned. Trailing spaces are cut. */
export function table(rows: readonly (readonly string[])[], right: ReadonlySet<number> = new Set()): string[] {
  const widths: number[] = [];
  for (const row of rows) row.forEach((cell, i) => (widths[i] = Math.max(widths[i] ?? 0, cell.length)));
  const align = (cell: string, i: number) => (right.has(i) ? cell.padStart(widths[i]) : cell.padEnd(widths[i]));
  return rows.map((row) => row.map(align).join('  ').trimEnd());
}

/** Lines of at most `width` characters, broken at spaces. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines[lines.length - 1];
    if (last !== undefined && last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}

/** Text of at most `width` characters; what does not fit ends in `…`. */
export const cut = (text: string, width: number): string =>
  text.length > width ? `${text.slice(0, width - 1).trimEnd()}…` : text;
