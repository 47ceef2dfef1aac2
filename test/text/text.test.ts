/**
 * Every case in this folder: what `ditc opt` makes of it, as its RUN line asks, is what its CHECK lines say.
 * @once
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { findRunLine } from '../../cli/run-line.ts';
import { PASS_GROUPS } from '../../compiler/opt.ts';
import { ditc } from '../cli/cli.ts';
import { check, directivesOf } from './check.ts';

const FOLDER = fileURLToPath(new URL('.', import.meta.url));
const files = readdirSync(FOLDER, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ir'))
  .sort();
const textOf = (name: string) => readFileSync(join(FOLDER, name), 'utf8');

/** The comment that says what a case shows: the line after RUN. */
const subjectOf = (text: string) => /^\/\/ RUN:.*\n\/\/ (?!CHECK)(.+)$/m.exec(text)?.[1];

describe.each(files)('%s', (name) => {
  const text = textOf(name);
  it(subjectOf(text) ?? '', async () => {
    const run = findRunLine(text);
    if (!run || !subjectOf(text)) throw new Error('a case starts with its RUN line, and then says what it shows');
    const args = run.args.map((word) => (word === '%s' ? name : word));
    const { code, out, err } = await ditc(['opt', ...args], FOLDER);
    expect({ code, ...(run.fails ? { out } : { err }) }).toEqual(
      run.fails ? { code: 1, out: '' } : { code: 0, err: '' },
    );
    check(directivesOf(text), run.fails ? err : out);
  });
});

it('shows every pass and every rule at work', () => {
  const asked = files.flatMap((name) => /--passes (\S+)/.exec(textOf(name))?.[1].split(',') ?? []);
  const all = PASS_GROUPS.flatMap(({ passes }) => passes.map(({ name }) => name));
  expect(all.filter((name) => !asked.includes(name))).toEqual([]);
});
