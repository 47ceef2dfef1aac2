/** docs/ops.md is what the op records say now. */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { allOps } from '../../../compiler/ops/index.ts';
import { opsMarkdown } from '../../../docs/generate-ops.ts';

it('docs/ops.md is current; otherwise run npx tsx docs/generate-ops.ts', () => {
  const written = readFileSync(new URL('../../../docs/ops.md', import.meta.url), 'utf8');
  expect(written).toBe(opsMarkdown());
});

it('docs/ops.md describes every op', () => {
  const text = opsMarkdown();
  for (const { name, doc } of allOps()) expect(text).toContain(`### ${name}\n\n${doc}\n`);
});
