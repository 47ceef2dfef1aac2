/** docs/dsl.md is what the sources of the DSL say now, and leaves nothing out. */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import * as dsl from '../../../compiler/dsl/index.ts';
import { dslMarkdown, dslSections } from '../../../docs/generate-dsl.ts';

it('docs/dsl.md is current; otherwise run npm run docs', { timeout: 60_000 }, () => {
  const written = readFileSync(new URL('../../../docs/dsl.md', import.meta.url), 'utf8');
  expect(written).toBe(dslMarkdown());
});

it('docs/dsl.md says something about all that a model file may import', () => {
  const sections = dslSections();
  const members = sections.flatMap((section) => section.members);
  for (const { name, doc } of members) expect(doc, name).not.toBe('');
  const known = new Set([...members.map(({ name }) => name), ...sections.map(({ title }) => title), 'DitcError']);
  for (const name of Object.keys(dsl)) expect(known, name).toContain(name);
});
