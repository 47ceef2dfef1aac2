/**
 * Paths and names that are empty, as of a shell variable that is not set: told before any work; and advice that exists.
 * @once
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';
import { scratchFolder } from '../compiler/frontend/scratch.ts';
import { ditc, REPO, TINY } from './cli.ts';

/** What each command cannot do without. The files need not be there: nothing is to look at them. */
const NEEDED: Record<string, readonly string[]> = {
  build: ['m.ts'],
  run: ['m.ts', '--entry', 'scale', '--out', 'o'],
  sample: ['m.ts', '--classes', '0', '--out', 'o.png'],
  train: ['m.ts', '--data', 'd', '--steps', '1', '--out', 'o'],
  encode: ['--vae', 'v.ts', '--data', 'd', '--out', 'o.safetensors'],
  decode: ['--vae', 'v.ts', '--latents', 'l.npy', '--out', 'o.png'],
  convert: ['a.safetensors', 'b.safetensors'],
  invert: ['m.ts', '--data', 'd', '--out', 'o.npy'],
  merge: ['o'],
  eval: ['a'],
  verify: ['m.ts'],
  tune: ['m.ts'],
  profile: ['m.ts'],
  inspect: ['m.ts'],
  opt: ['f.ir'],
  doctor: [],
};

const optionsOf = (help: string): { name: string; hasValue: boolean }[] =>
  [...help.matchAll(/^ {2}(?:-\w, )?--([\w-]+)( <)?/gm)].map(([, name, value]) => ({ name, hasValue: !!value }));
const helpOf = async (command: string) => (await ditc([command, '--help'])).out;
const COMMANDS = async () => [...(await ditc(['--help'])).out.matchAll(/^ {2}([a-z]+) \[?/gm)].map(([, name]) => name);

describe('an empty value', () => {
  const folder = scratchFolder();

  it('is known of every command', async () => {
    expect((await COMMANDS()).filter((name) => name !== 'help').sort()).toEqual(Object.keys(NEEDED).sort());
  });

  it.each(Object.entries(NEEDED))('of any option of %s is told as such', async (command, needed) => {
    const cwd = folder({ 'm.ts': TINY });
    for (const { name, hasValue } of optionsOf(await helpOf(command))) {
      if (!hasValue) continue;
      const at = needed.indexOf(`--${name}`);
      const words = at < 0 ? [...needed, `--${name}`, ''] : needed.with(at + 1, '');
      const { code, out, err } = await ditc([command, ...words], cwd);
      expect({ code, out }, `${command} --${name} '': ${err}`).toEqual({ code: 2, out: '' });
      expect(err).toMatch(/^--[\w-]+(: an empty item| (is|takes))/);
      expect(err).toContain('fix:');
      expect(err).not.toContain('bug');
    }
    expect(readdirSync(cwd)).toEqual(['m.ts']);
  });

  it('of an argument too', async () => {
    for (const command of ['build', 'run', 'inspect', 'verify', 'opt']) {
      const { code, err } = await ditc([command, '', ...NEEDED[command].slice(1)]);
      expect(code, command).toBe(2);
      expect(err).toMatch(/the argument <\w+> is empty\n {3}fix: see ditc/);
    }
  });
});

describe('advice', () => {
  it('names only options that there are', async () => {
    const helps = await Promise.all((await COMMANDS()).filter((name) => name in NEEDED).map(helpOf));
    const known = new Set(helps.flatMap((help) => optionsOf(help).map(({ name }) => name)));
    const unknown = ['cli', 'runtime', 'compiler'].flatMap((folder) =>
      textsUnder(folder).flatMap(({ file, text }) =>
        [...text.matchAll(/(?<![\w-])--([a-z][a-z\d-]*[a-z\d])/g)].flatMap(([, name]) =>
          known.has(name) || FOREIGN.has(name) ? [] : [`${file}: --${name}`],
        ),
      ),
    );
    expect(unknown).toEqual([]);
  });
});

/** Options of other programs, and of `ditc` itself. */
const FOREIGN = new Set(['help', 'version']);

/** The strings of all sources of a folder. */
function textsUnder(folder: string): { file: string; text: string }[] {
  const names = readdirSync(join(REPO, folder), { recursive: true, encoding: 'utf8' });
  return names
    .filter((name) => name.endsWith('.ts'))
    .flatMap((name) => {
      const file = join(folder, name);
      const source = ts.createSourceFile(file, readFileSync(join(REPO, file), 'utf8'), ts.ScriptTarget.Latest, true);
      const texts: { file: string; text: string }[] = [];
      const visit = (node: ts.Node): void => {
        if (ts.isStringLiteralLike(node) || ts.isTemplateLiteralToken(node)) texts.push({ file, text: node.text });
        ts.forEachChild(node, visit);
      };
      visit(source);
      return texts;
    });
}
