/**
 * Writes down what tests ran on a device, and how far off it was, as rows of EXECUTED.md: a reporter of vitest. Rows of tests that a run leaves
 * out stay as they were, so that the page may be made in parts.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { TestCase } from 'vitest/node';
import type {} from '../../test/helpers/executed.ts';

const PAGE = fileURLToPath(new URL('EXECUTED.md', import.meta.url));

/** What runs on matrix units, and is told of. */
export const TESTS = ['matrix', 'attention-fragments', 'matrix-zoo'].map((name) => `test/gpu/${name}.test.ts`);

const HEADS = ['test', 'plans', 'largest error', 'bound', 'seconds', 'day'];
const RULE = ['---', '---', '--:', '--:', '--:', '---'];

export default class ExecutedReporter {
  onTestCaseResult(test: TestCase): void {
    const { executed } = test.meta();
    const { state } = test.result();
    if (!executed || state === 'skipped') return;
    const { device, families, error, bound } = executed;
    const seconds = ((test.diagnostic()?.duration ?? 0) / 1000).toFixed(0);
    const found = state === 'failed' ? 'fails' : error ? error.toExponential(1) : '0';
    const cells = [
      found,
      bound ? bound.toExponential(0) : 'to the bit',
      seconds,
      new Date().toISOString().slice(0, 10),
    ];
    const file = basename(test.module.moduleId, '.test.ts');
    write(device, [`${file}: ${test.fullName.replaceAll('|', '\\|')}`, families.join(', '), ...cells]);
  }
}

/** Puts a row in its place. */
function write(device: string, cells: readonly string[]): void {
  const rows = existsSync(PAGE) ? rowsOf(readFileSync(PAGE, 'utf8')) : new Map<string, string>();
  rows.set(cells[0], line(cells));
  const sorted = [...rows].sort(([a], [b]) => a.localeCompare(b, 'en', { numeric: true })).map(([, row]) => row);
  writeFileSync(PAGE, page(device, [line(HEADS), line(RULE), ...sorted]));
}

const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;

const rowsOf = (text: string): Map<string, string> =>
  new Map(
    text
      .split('\n')
      .filter((row) => row.startsWith('| ') && row !== line(HEADS) && row !== line(RULE))
      .map((row) => [row.slice(2, row.indexOf(' | ')), row]),
  );

const page = (device: string, table: readonly string[]): string =>
  `# Kernels for matrix units, executed

Written by \`npm run lab -- executed\`: tests of [\`${dirname(TESTS[0])}\`](../../${dirname(TESTS[0])}), run on ${device}. Errors
are relative to the float64 interpreter, the largest of all results; where the bound is “to the bit”, they are whole numbers and all equal. Seconds are
mostly the driver’s compiler.

${table.join('\n')}
`;
