/** What is kept of models between runs: taken again when it is the same, never when anything that decides it is not. */
import { cpSync, existsSync, readdirSync, readFileSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import * as code from '../../library/code.ts';
import { compiledOnce, loadModel, type CompileOptions } from '../../cli/model.ts';
import { PORTABLE } from '../../compiler/device.ts';
import { digestOfTrace } from '../../compiler/emit/traced.ts';
import { traceModel } from '../../compiler/compile.ts';
import { errorOf, scratchFolder } from '../compiler/frontend/scratch.ts';
import { widthModel as model } from './models.ts';

const folder = scratchFolder();

const OPTIONS: CompileOptions = { device: PORTABLE, entryOptions: { batch: 2 } };

let cache: string;
beforeEach(() => {
  cache = folder({ sentinel: '' });
  vi.stubEnv('DITC_CACHE', cache);
  return () => vi.unstubAllEnvs();
});

const kept = () => {
  const compiled = join(cache, 'compiled');
  return existsSync(compiled) ? readdirSync(compiled).map((name) => join(compiled, name)) : [];
};

/** The manifest of a model file, and whether it was compiled for that. */
function compiled(path: string, options: CompileOptions = OPTIONS, more?: unknown) {
  let isNew = false;
  const text = compiledOnce('test', loadModel(path), options, more, ({ artefact }) => {
    isNew = true;
    return JSON.stringify(artefact.manifest);
  });
  return { text, isNew };
}

describe('a model that was compiled', () => {
  it('is not compiled again, and comes back as it was', () => {
    const path = join(folder({ 'm.ts': model('8') }), 'm.ts');
    const first = compiled(path);
    expect(first.isNew).toBe(true);
    expect(compiled(path)).toEqual({ text: first.text, isNew: false });
    expect(kept().length).toBe(2);
  });

  it('is the same for a change that changes nothing, such as the words of a comment', () => {
    const cwd = folder({ 'm.ts': `// one\n${model('8')}` });
    compiled(join(cwd, 'm.ts'));
    writeFileSync(join(cwd, 'm.ts'), `// two\n${model('8')}`);
    expect(compiled(join(cwd, 'm.ts')).isNew).toBe(false);
  });

  const changes: Record<string, [CompileOptions, unknown?]> = {
    'another batch': [{ ...OPTIONS, entryOptions: { batch: 3 } }],
    'another option of the entry': [{ ...OPTIONS, entryOptions: { batch: 2, offset: 1 } }],
    'an option that no entry reads, for the manifest shows it': [{ ...OPTIONS, entryOptions: { batch: 2, unread: 1 } }],
    'other entries': [{ ...OPTIONS, entries: ['forward'] }],
    'the entries in another order': [{ ...OPTIONS, entries: ['other', 'forward'] }],
    f16: [{ ...OPTIONS, dtype: 'f16' }],
    'less memory': [{ ...OPTIONS, memory: 1e6 }],
    'a device of another name': [{ ...OPTIONS, device: { ...PORTABLE, name: 'mine' } }],
    'a device of another limit': [
      { ...OPTIONS, device: { ...PORTABLE, limits: { ...PORTABLE.limits, maxComputeInvocationsPerWorkgroup: 128 } } },
    ],
    'a device that is to be steady': [{ ...OPTIONS, device: { ...PORTABLE, steady: true } }],
    'what the caller makes of it': [OPTIONS, 'other'],
  };
  it.each(Object.entries(changes))('is compiled anew for %s', (_name, [options, more]) => {
    const path = join(folder({ 'm.ts': model('8') }), 'm.ts');
    compiled(path);
    expect(compiled(path, options, more).isNew).toBe(true);
    expect(compiled(path, options, more).isNew).toBe(false);
    expect(compiled(path).isNew).toBe(false);
  });

  it('is another under another file name, which its manifest shows', () => {
    const cwd = folder({ 'm.ts': model('8'), 'n.ts': model('8') });
    compiled(join(cwd, 'm.ts'));
    expect(compiled(join(cwd, 'n.ts')).isNew).toBe(true);
  });

  it('is another when a line of it moves, which its kernels name', () => {
    const cwd = folder({ 'm.ts': model('8') });
    compiled(join(cwd, 'm.ts'));
    writeFileSync(join(cwd, 'm.ts'), `\n${model('8')}`);
    expect(compiled(join(cwd, 'm.ts')).isNew).toBe(true);
  });
});

describe('what a trace is known by', () => {
  const digest = (text: string) =>
    digestOfTrace(
      traceModel(loadModel(join(folder({ 'm.ts': text }), 'm.ts')).model, { ...OPTIONS, name: 'm', source: 'm.ts' }),
    );
  const withBody = (body: string, more = '') =>
    `import { constant, defineModel, fixed, normal, ones } from 'ditc/dsl';\nexport default defineModel({ config: {}, ${more} entries: { forward(e) { ${body} } } });\n`;

  it.each([
    [
      'a constant’s values',
      "return { y: e.input('x', [2]).mul(constant([1, 2], [2])) };",
      /\[1, 2\], \[2\]/,
      '[1, 3], [2]',
    ],
    ['a value that is not a number', "return { y: e.input('x', [2]).mul(Infinity) };", /Infinity/, '-Infinity'],
    ['the sign of zero', "return { y: e.input('x', [2]).div(e.input('z', [2]).mul(-0)) };", /-0/, '0'],
    ['a first value', "return { y: e.params.param('w', [2], normal(0.5)) .neg() };", /0\.5/, '0.25'],
    ['first values of one’s own', "return { y: e.params.param('w', [2], fixed([1, 2])).neg() };", /1, 2/, '1, 3'],
    [
      'how many classes there are',
      "return { y: e.input('y', [2], 'i32', { classes: 2 }).add(1) };",
      /classes: 2/,
      'classes: 3',
    ],
    ['the name of a value', "const a = e.input('x', [2]).neg(); return { y: a.exp() };", /\ba\b/g, 'b'],
    ['the name of an output', "return { y: e.input('x', [2]).neg() };", /y:/, 'z:'],
    [
      'what an update writes',
      "const s = e.state('s', [2]); e.update(s, s.add(1)); return { y: s.mul(2) };",
      /add\(1\)/,
      'add(2)',
    ],
  ])('tells %s', (_what, body, from, to) => {
    expect(digest(withBody(body))).toBe(digest(withBody(body)));
    expect(digest(withBody(body.replace(from, to)))).not.toBe(digest(withBody(body)));
  });

  it('tells other names of a parameter in checkpoints', () => {
    const body = "return { y: e.params.param('w', [2], ones).neg() };";
    const named = (alias: string) => digest(withBody(body, `aliases: () => ['${alias}'],`));
    expect(named('a')).toBe(named('a'));
    expect(named('b')).not.toBe(named('a'));
  });
});

describe('the code of ditc', () => {
  it('is what this process began with as long as none of its files and folders changes', () => {
    const root = folder({
      'cli/a.ts': '1',
      'compiler/b/c.ts': '2',
      'library/d.ts': '3',
      'runtime/e.ts': '4',
    });
    const began = Date.now() + 1000;
    expect(code.isUnchanged(root, began)).toBe(true);
    expect(code.isUnchanged(root, began - 3_600_000)).toBe(false);
    const later = began / 1000 + 1;
    utimesSync(join(root, 'compiler/b'), later, later);
    expect(code.isUnchanged(root, began)).toBe(false);
    utimesSync(join(root, 'compiler/b'), 0, 0);
    expect(code.isUnchanged(root, began)).toBe(true);
    utimesSync(join(root, 'runtime/e.ts'), later, later);
    expect(code.isUnchanged(root, began)).toBe(false);
  });

  it('that changed while it ran keeps nothing, and takes nothing that was kept', () => {
    const path = join(folder({ 'm.ts': model('8') }), 'm.ts');
    vi.spyOn(code, 'isUnchanged').mockReturnValue(false);
    expect([compiled(path).isNew, compiled(path).isNew, kept()]).toEqual([true, true, []]);
    vi.restoreAllMocks();
    compiled(path);
    expect(compiled(path).isNew).toBe(false);
    vi.spyOn(code, 'isUnchanged').mockReturnValue(false);
    expect(compiled(path).isNew).toBe(true);
    vi.restoreAllMocks();
  });
});

describe('a model file that was checked', () => {
  const files = { 'm.ts': model('width', "import { width } from './lib.ts';"), 'lib.ts': 'export const width = 8;\n' };

  it('sees a change of a file it imports', () => {
    const cwd = folder(files);
    expect(compiled(join(cwd, 'm.ts')).text).toContain('"shape":[2,8]');
    writeFileSync(join(cwd, 'lib.ts'), 'export const width = 16;\n');
    expect(compiled(join(cwd, 'm.ts')).text).toContain('"shape":[2,16]');
  });

  it('sees a type error that came into a file it imports, types alone included', () => {
    const cwd = folder({
      ...files,
      'm.ts': `import type { T } from './types.ts';\nexport const n: T = 1;\n${files['m.ts']}`,
      'types.ts': 'export type T = number;\n',
    });
    compiled(join(cwd, 'm.ts'));
    writeFileSync(join(cwd, 'types.ts'), 'export type T = string;\n');
    expect(errorOf(() => compiled(join(cwd, 'm.ts'))).why).toMatch(/^m\.ts:2:14 - error TS2322/);
  });

  it('sees a file that comes to stand for an import', () => {
    const cwd = folder({
      'm.ts': model('width', "import { width } from './lib';"),
      'lib/index.ts': 'export const width = 8;\n',
    });
    expect(compiled(join(cwd, 'm.ts')).text).toContain('[2,8]');
    writeFileSync(join(cwd, 'lib.ts'), 'export const width = 16;\n');
    expect(compiled(join(cwd, 'm.ts')).text).toContain('[2,16]');
  });

  it('sees that a file it imports is gone', () => {
    const cwd = folder({
      'm.ts': model('width', "import { width } from './lib';"),
      'lib.ts': 'export const width = 8;\n',
      'lib/index.ts': 'export const width = 16;\n',
    });
    expect(compiled(join(cwd, 'm.ts')).text).toContain('[2,8]');
    truncateSync(join(cwd, 'lib.ts'));
    expect(errorOf(() => compiled(join(cwd, 'm.ts'))).code).toBe('type-error');
  });

  it('is not kept when it is wrong', () => {
    const cwd = folder({ 'm.ts': `const wrong: string = 1;\n${model('8')}` });
    for (const _again of [1, 2]) expect(errorOf(() => compiled(join(cwd, 'm.ts'))).code).toBe('type-error');
    expect(kept()).toEqual([]);
  });

  it('is told apart from its copy in another folder, which errors name', () => {
    const [one, two] = [folder(files), folder({ ...files, 'package.json': '{}' })];
    compiled(join(one, 'm.ts'));
    cpSync(join(one, 'm.ts'), join(two, 'sub/m.ts'));
    cpSync(join(one, 'lib.ts'), join(two, 'sub/lib.ts'));
    expect(loadModel(join(two, 'sub/m.ts')).source).toBe('sub/m.ts');
  });
});

describe('a model that reads what is not in its files', () => {
  it.each([
    [
      'a file',
      "import { readFileSync } from 'node:fs';\nconst width = Number(readFileSync(`${import.meta.dirname}/width.txt`, 'utf8'));",
    ],
    ['JSON', "import { width } from './width.json';"],
    ['the environment', "import process from 'node:process';\nconst width = Number(process.env.TEST_WIDTH);"],
    ['the command line', "import process from 'node:process';\nconst width = Number(process.argv.at(-1));"],
    ['the time', 'const width = new Date().getSeconds() + 1;'],
    ['chance', 'const width = 1 + Math.floor(Math.random() * 100);'],
  ])('gets what it reads now: %s', (_what, imports) => {
    const cwd = folder({ 'm.ts': model('width', imports) });
    const argv = process.argv;
    const widthNow = (width: number) => {
      writeFileSync(join(cwd, 'width.txt'), String(width));
      writeFileSync(join(cwd, 'width.json'), JSON.stringify({ width }));
      vi.stubEnv('TEST_WIDTH', String(width));
      process.argv = [...argv, String(width)];
      vi.useFakeTimers({ now: new Date(2026, 1, 1, 0, 0, width - 1), toFake: ['Date'] });
      vi.spyOn(Math, 'random').mockReturnValue((width - 0.5) / 100);
      try {
        return compiled(join(cwd, 'm.ts'));
      } finally {
        vi.useRealTimers();
        vi.mocked(Math.random).mockRestore();
        process.argv = argv;
      }
    };
    expect(widthNow(5).text).toContain('"shape":[2,5]');
    expect(widthNow(7)).toMatchObject({ isNew: true, text: expect.stringContaining('"shape":[2,7]') as string });
    expect(widthNow(5).isNew).toBe(false);
  });

  it('says what it says each time', async () => {
    const cwd = folder({ 'm.ts': `console.log('hello');\n${model('8')}` });
    const said = vi.spyOn(console, 'log').mockImplementation(() => {});
    for (const _again of [1, 2]) compiled(join(cwd, 'm.ts'));
    expect(said.mock.calls).toEqual([['hello'], ['hello']]);
    said.mockRestore();
  });
});

describe('an entry of the cache', () => {
  const damages: Record<string, (bytes: Buffer) => Uint8Array> = {
    'has a byte changed': (bytes) =>
      bytes.fill(bytes[bytes.length >> 1] ^ 1, bytes.length >> 1, (bytes.length >> 1) + 1),
    'has its digest changed': (bytes) => bytes.fill(bytes[0] ^ 1, 0, 1),
    'is cut off': (bytes) => bytes.subarray(0, bytes.length - 1),
    'is empty': () => new Uint8Array(),
    'is longer': (bytes) => Buffer.concat([bytes, Buffer.from('x')]),
    'is something else': () => Buffer.from('{"not": "ours"}'.repeat(10)),
  };
  it.each(Object.entries(damages))('that %s is made anew', (_how, damage) => {
    const path = join(folder({ 'm.ts': model('8') }), 'm.ts');
    const { text } = compiled(path);
    for (const file of kept()) writeFileSync(file, damage(readFileSync(file)));
    expect(compiled(path)).toEqual({ text, isNew: true });
    expect(compiled(path)).toEqual({ text, isNew: false });
  });

  it('in the place of another is not taken for it', () => {
    const cwd = folder({ 'm.ts': model('8'), 'n.ts': model('16') });
    const texts = ['m.ts', 'n.ts'].map((name) => compiled(join(cwd, name)).text);
    const entries = kept().map((file) => readFileSync(file));
    kept().forEach((file, i) => writeFileSync(file, entries[(i + 1) % entries.length]));
    for (const [i, name] of ['m.ts', 'n.ts'].entries())
      expect(compiled(join(cwd, name))).toEqual({ text: texts[i], isNew: true });
  });

  it('that cannot be written is done without', () => {
    const path = join(folder({ 'm.ts': model('8') }), 'm.ts');
    writeFileSync(join(cache, 'compiled'), 'a file in the way');
    const { text } = compiled(path);
    expect(compiled(path)).toEqual({ text, isNew: true });
    vi.stubEnv('DITC_CACHE', '/proc/none/cache');
    expect(compiled(path)).toEqual({ text, isNew: true });
  });

  it('is not made where the cache is off', () => {
    vi.stubEnv('DITC_CACHE', 'off');
    const path = join(folder({ 'm.ts': model('8') }), 'm.ts');
    for (const _again of [1, 2]) expect(compiled(path).isNew).toBe(true);
    expect(kept()).toEqual([]);
  });
});
