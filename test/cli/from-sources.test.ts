/**
 * The command in a clone: it runs from a bundle of the sources as they are now, or without one.
 * @once
 */
import { spawn } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { beforeEach, describe, expect, it } from 'vitest';
import { scratchFolder } from '../compiler/frontend/scratch.ts';
import { REPO } from './cli.ts';

const folder = scratchFolder();
let root: string;
const bundles = () => {
  const kept = join(root, 'node_modules/.cache/ditc');
  return existsSync(kept) ? readdirSync(kept) : [];
};
const value = (text: string) =>
  writeFileSync(join(root, 'compiler/value.ts'), `export const value: string = '${text}';\n`);

/** What the command prints. */
function start(): Promise<string> {
  const child = spawn(process.execPath, [join(root, 'cli/ditc.mjs'), 'word'], { cwd: root });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (text += String(chunk)));
  return new Promise((resolve) => child.on('close', (code) => resolve(`${text}${code}`)));
}

beforeEach(() => {
  root = folder({
    'package.json': '{ "type": "module" }',
    'package-lock.json': '{}',
    'runtime/later.ts': 'export const later: string = import.meta.url;\n',
    'compiler/value.ts': '',
    'library/model.ts': '',
    'cli/main.ts': `import { value } from '../compiler/value.ts';
export async function main(argv: readonly string[]): Promise<number> {
  const { later } = await import('../runtime/later.ts');
  console.log([...argv, value, import.meta.url, later].join(' '));
  return 3;
}
`,
  });
  for (const name of ['ditc.mjs', 'from-sources.mjs']) cpSync(join(REPO, 'cli', name), join(root, 'cli', name));
  mkdirSync(join(root, 'node_modules'));
  for (const name of ['esbuild', 'tsx'])
    symlinkSync(join(REPO, 'node_modules', name), join(root, 'node_modules', name));
  value('one');
});

/** What it prints when a module has this value: each file is where its source lies, for what is beside it. */
const said = (text: string) => {
  const url = (path: string) => pathToFileURL(join(root, path)).href;
  return `word ${text} ${url('cli/main.ts')} ${url('runtime/later.ts')}\n3`;
};

describe('the command from sources', () => {
  it('is bundled once, and anew when a source has changed', async () => {
    expect(await start()).toBe(said('one'));
    expect(await start()).toBe(said('one'));
    expect(bundles().length).toBe(1);
    value('two');
    expect(await start()).toBe(said('two'));
    value('one');
    expect(await start()).toBe(said('one'));
    expect(bundles().length).toBe(2);
  });

  it('is bundled by several at once, each of which runs', async () => {
    expect(await Promise.all([start(), start(), start()])).toEqual([said('one'), said('one'), said('one')]);
    expect(bundles().length).toBe(1);
  });

  it('runs where no bundle can be kept', async () => {
    writeFileSync(join(root, 'node_modules/.cache'), 'in the way');
    expect(await start()).toBe(said('one'));
  });

  it('keeps the bundles of a few versions, and those of the last day', async () => {
    const kept = join(root, 'node_modules/.cache/ditc');
    for (let days = 0; days < 12; days++) {
      const then = new Date(Date.now() - (days + 0.5) * 24 * 3600_000);
      mkdirSync(join(kept, `of ${days}`), { recursive: true });
      utimesSync(join(kept, `of ${days}`), then, then);
    }
    expect(await start()).toBe(said('one'));
    expect(
      bundles()
        .filter((name) => /^of/.test(name))
        .sort(),
    ).toEqual([0, 1, 2, 3, 4, 5, 6].map((days) => `of ${days}`));
    for (const name of bundles()) utimesSync(join(kept, name), new Date(), new Date());
    for (const text of ['two', 'three']) {
      value(text);
      expect(await start()).toBe(said(text));
    }
    expect(bundles().length).toBe(10);
  });
});
