/** Writes down what tests ran on a device, and how far off it was, as rows of EXECUTED.md: a reporter of vitest. */
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { TestCase } from 'vitest/node';
import type {} from '../../test/helpers/executed.ts';
import { putRow, today } from './rows.ts';

/** What runs on matrix units, and is told of. */
export const TESTS = ['matrix', 'attention-fragments', 'matrix-zoo'].map((name) => `test/gpu/${name}.test.ts`);

const PAGE = {
  path: fileURLToPath(new URL('EXECUTED.md', import.meta.url)),
  heads: ['test', 'plans', 'largest error', 'bound', 'seconds', 'day'],
};

const pageFor = (device: string) => ({
  ...PAGE,
  text: `# Kernels for matrix units, executed

Written by \`npm run lab -- executed\`: tests of [\`test/gpu\`](../../test/gpu), on ${device}. Errors are relative to the
float64 interpreter, the largest of all results; where the bound is “to the bit”, all are whole numbers and the same. Seconds are of the clock,
of whatever else ran beside, and mostly the driver’s compiler.`,
});

export default class ExecutedReporter {
  onTestCaseResult(test: TestCase): void {
    const { executed } = test.meta();
    const { state } = test.result();
    const name = `${basename(test.module.moduleId, '.test.ts')}: ${test.fullName.replaceAll('|', '\\|')}`;
    const seconds = ((test.diagnostic()?.duration ?? 0) / 1000).toFixed(0);
    // What it told when it last ran is no longer so.
    if (!executed && state === 'failed') putRow(PAGE, [name, '', 'fails', '', seconds, today()]);
    if (!executed || state === 'skipped') return;
    const { device, families, error, bound } = executed;
    const found = state === 'failed' ? `fails (${error.toExponential(1)})` : error ? error.toExponential(1) : '0';
    const most = bound ? bound.toExponential(0) : 'to the bit';
    putRow(pageFor(device), [name, families.join(', '), found, most, seconds, today()]);
  }
}
