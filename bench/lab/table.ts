/** Figures of kernels as a table, for a terminal or for Markdown. */
import { table } from '../../cli/text.ts';
import type { Row } from './isa.ts';

const two = (n: number): string => n.toFixed(2);

/** Columns with the row's figure; those that no row has are left out. */
const COLUMNS: readonly (readonly [head: string, cell: (row: Row) => string | number | undefined])[] = [
  ['kernel', ({ name }) => name],
  ['plan', ({ plan }) => plan],
  ['uses', ({ uses }) => uses],
  ['GMAC', ({ macs }) => macs && two(macs / 1e9)],
  ['mac/inst', ({ macPerInstruction: n }) => n && two(n)],
  ['lds B/mac', ({ ldsBytesPerMac: n }) => n && two(n)],
  ['glb B/mac', ({ globalBytesPerMac: n }) => n && two(n)],
  ['macs', ({ loop }) => loop?.macs],
  ['matrix', ({ loop }) => loop?.matrix || undefined],
  ['inst', ({ loop }) => loop?.instructions],
  ['lds ld', ({ loop }) => loop?.ldsLoads],
  ['glb ld', ({ loop }) => loop?.globalLoads],
  ['barriers', ({ loop }) => loop?.barriers],
  ['vgprs', ({ vgprs }) => vgprs],
  ['spills', ({ spills }) => spills],
  ['lds', ({ lds }) => lds],
  ['waves', ({ waves }) => waves],
];

/** Heads and cells; a kernel that did not compile has its error instead. */
function cellsOf(rows: readonly Row[]): string[][] {
  const shown = COLUMNS.filter(([, cell]) => rows.some((row) => cell(row) !== undefined));
  const line = (row: Row) => (row.error ? [row.name, row.error] : shown.map(([, cell]) => String(cell(row) ?? '-')));
  return [shown.map(([head]) => head), ...rows.map(line)];
}

const isText = (head: string) => head === 'kernel' || head === 'plan';

export function tableOf(rows: readonly Row[]): string[] {
  const [heads, ...cells] = cellsOf(rows);
  return table([heads, ...cells], new Set(heads.flatMap((head, i) => (isText(head) ? [] : [i]))));
}

export function markdownOf(rows: readonly Row[]): string[] {
  const [heads, ...cells] = cellsOf(rows);
  const line = (all: readonly string[]) => `| ${all.join(' | ')} |`;
  return [line(heads), line(heads.map((head) => (isText(head) ? '---' : '--:'))), ...cells.map(line)];
}
