import { spawnSync } from 'node:child_process';
import { realpathSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { stripColor } from '../../../compiler/frontend/check.ts';
import { formatDiagnostic, loadModel, PACKAGE_ROOT, type Keep, type Kept } from '../../../compiler/frontend/index.ts';
import { withModelProgram } from '../../../compiler/frontend/project.ts';
import { printGraph } from '../../../compiler/ir/index.ts';
import { errorOf, modelText, scratchFolder, traced } from './scratch.ts';

const folder = scratchFolder();
const load = (cwd: string, name = 'my.ts') => loadModel(name, { cwd });

describe('a model file', () => {
  it('loads from outside the repository, imports what it needs, and prints with names and places', () => {
    const cwd = folder({
      'my.ts': modelText(
        `  const x = e.input('x', [e.batch, 8]);
  const h = silu(e.params.linear('fc', x, 3 * width));
  const [q, , v] = h.split(3);
  let y = double(q).neg().exp();
  y = y.add(v);
  return { out: y.mul(2), v };`,
        "import { double } from './lib/double.ts'; import data from './size.json'; const { width } = data;",
      ),
      'lib/double.ts': "import type { Tensor } from 'ditc';\nexport const double = (x: Tensor) => x.add(x);\n",
      'size.json': '{ "width": 16 }',
    });
    const loaded = load(cwd);
    expect(loaded).toMatchObject({ source: 'my.ts', name: 'my', files: ['my.ts', 'lib/double.ts'] });
    expect(loaded.sourceText('lib/double.ts')).toContain('x.add(x)');
    const nodes = printGraph(traced(loaded))
      .split('\n')
      .filter((line) => !/ (param|constant) /.test(line))
      .map((line) => line.replace(/ \{size.*?\}| : f32\S+/g, '').trim());
    expect(nodes).toEqual([
      'graph @forward(%x: f32[2,8]) {',
      '%fc = linear %x, %fc.weight, %fc.bias  @ my.ts:5:27',
      '%h = silu %fc  @ my.ts:5:13',
      '%q = slice %h  @ my.ts:6:22',
      '%v = slice %h  @ my.ts:6:22',
      '%0 = add %q, %q  @ lib/double.ts:2:40',
      '%1 = neg %0  @ my.ts:7:21',
      '%y = exp %1  @ my.ts:7:27',
      '%y.1 = add %y, %v  @ my.ts:8:9',
      expect.stringMatching(/^%out = mul %y.1, .*@ my.ts:9:19$/),
      'return out = %out, v = %v',
      '}',
      '',
    ]);
  });

  it('gives the same graph every time, and sees what changed on disk', () => {
    const body = "return { out: e.input('x', [e.batch, 8]).mul(3).exp() };";
    const cwd = folder({ 'my.ts': modelText(body) });
    const first = printGraph(traced(load(cwd)));
    expect(printGraph(traced(load(cwd)))).toBe(first);
    writeFileSync(join(cwd, 'my.ts'), modelText(body.replace('exp', 'log')));
    expect(printGraph(traced(load(cwd)))).toBe(first.replace(' exp ', ' log '));
  });

  it('takes its name in locations from the nearest package when it is outside the working directory', () => {
    const text = modelText("return { out: silu(e.input('x', [1])) };");
    const cwd = folder({ 'pkg/package.json': '{}', 'pkg/src/my.ts': text, 'bare/my.ts': text, 'here/a.txt': '' });
    expect(load(join(cwd, 'here'), '../pkg/src/my.ts').source).toBe('src/my.ts');
    expect(load(join(cwd, 'here'), join(cwd, 'bare/my.ts')).source).toBe('my.ts');
  });

  it('may import by absolute path, and node built-ins', () => {
    const cwd = folder({
      'my.ts': modelText(
        "return { out: silu(e.input('x', [readFileSync(import.meta.filename, 'utf8').length > 0 ? 1 : 2])) };",
        `import { defineModel as same } from '${PACKAGE_ROOT}/compiler/dsl/index.ts'; import { readFileSync } from 'node:fs';
if (same !== defineModel) throw new Error('two DSLs');`,
      ),
    });
    expect(traced(load(cwd)).inputs[0].type.shape).toEqual([1]);
  });
});

describe('type errors', () => {
  it('come out as tsc prints them, all of them, the imported files included', () => {
    const cwd = folder({
      'my.ts': modelText(
        "  const x: string = e.input('x', [e.batch, 8]);\n  return { out: silu(width) };",
        "import { width } from './lib.ts';",
      ),
      'lib.ts': 'export const width: number = "8";\nexport const unused = missing;\n',
    });
    const error = errorOf(() => load(cwd));
    const options = ['--strict', '--target', 'es2022', '--module', 'esnext', '--moduleResolution', 'bundler'];
    const lines = error.why!.split('\n');
    expect(error.code).toBe('type-error');
    expect(error.where).toBe('lib.ts:1:14');
    expect(error.what).toBe('4 type errors');
    // The imported file needs nothing of ours, so the real tsc can be asked about it.
    expect(lines.slice(0, 2)).toEqual(tsc(cwd, [...options, 'lib.ts']));
    expect(lines.slice(2)).toEqual([
      "my.ts:4:9 - error TS2322: Type 'Tensor' is not assignable to type 'string'.",
      "my.ts:5:22 - error TS2345: Argument of type 'number' is not assignable to parameter of type 'Tensor'.",
    ]);
    expect(formatDiagnostic(error, undefined, { color: false })).toContain(
      "my.ts:5:22 - error TS2345: Argument of type 'number' is not assignable to parameter of type 'Tensor'.\n\n" +
        '5   return { out: silu(width) };\n                       ~~~~~',
    );
  });

  it('say how a function is called that is no method', () => {
    const cwd = folder({ 'my.ts': modelText("  return { out: e.input('x', [8]).tanh() };") });
    const error = errorOf(() => load(cwd));
    expect(error.fix).toBe("tanh is a function: import it from 'ditc/dsl' and write tanh(x)");
    expect(formatDiagnostic(error, undefined, { color: false })).toMatch(/TS2339: [^]*\n {3}fix: tanh is a function/);
  });

  it.each([
    ['scan', '(h, x) => h.add(x), e.input("h", [3]), e.input("xs", [5, 3])', '[carry, y], or [carry]'],
    ['scan', '(h, x) => { h.add(x); }, e.input("h", [3]), e.input("xs", [5, 3])', '[carry, y], or [carry]'],
    [
      'scan',
      '(h, x) => { const y = h.add(x); return y; }, e.input("h", [3]), e.input("xs", [5, 3])',
      '[carry, y], or [carry]',
    ],
    ['foriLoop', '3, (h) => ([h, h]), e.input("h", [3])', 'what is carried'],
  ])('say what the step of a %s(%s) returns', (call, given, what) => {
    const text = modelText(`  const made: unknown = ${call}(${given});\n  return { out: made as Tensor };`);
    const cwd = folder({ 'my.ts': `import { ${call}, type Tensor } from 'ditc';\n${text}` });
    expect(errorOf(() => load(cwd)).fix).toBe(`the step of ${call} is to return ${what}`);
  });

  it('inside of what a step computes say nothing of what it returns', () => {
    const text = modelText("  return { out: foriLoop(2, (h) => h.mul('2'), e.input('h', [3])) };");
    const cwd = folder({ 'my.ts': `import { foriLoop } from 'ditc';\n${text}` });
    expect(errorOf(() => load(cwd)).fix).toBeUndefined();
  });

  it('in syntax and in imports are found before anything runs', () => {
    const cwd = folder({ 'my.ts': 'const = 3;', 'lost.ts': "import { x } from './nowhere.ts';\nexport default x;\n" });
    expect(errorOf(() => load(cwd)).why).toMatch(/^my\.ts:1:7 - error TS1134: /);
    expect(errorOf(() => load(cwd, 'lost.ts')).why).toMatch(/^lost\.ts:1:19 - error TS2307: Cannot find module/);
  });
});

describe('a model file that changed since it was kept', () => {
  it('has its other files’ code as it was, and is checked as a whole', () => {
    const main = modelText("  return { out: silu(e.input('x', [width])) };", "import { width } from './lib.ts';");
    const cwd = realpathSync(folder({ 'my.ts': main, 'lib.ts': 'export const width = 8;\n' }));
    const found = new Map<string, Kept>();
    const keep: Keep = { read: (key) => found.get(key), write: (key, kept) => void found.set(key, kept) };
    const again = () => loadModel(join(cwd, 'my.ts'), { cwd, keep });
    const before = again();
    before.checked();
    writeFileSync(join(cwd, 'lib.ts'), 'export const width = 16;\n');
    const after = again();
    expect(traced(after).inputs[0].type.shape).toEqual([16]);
    expect(after.units.get(join(cwd, 'my.ts'))).toBe(before.units.get(join(cwd, 'my.ts')));
    expect(after.units.get(join(cwd, 'lib.ts'))).not.toBe(before.units.get(join(cwd, 'lib.ts')));
    writeFileSync(join(cwd, 'lib.ts'), 'export const width = "16";\n');
    expect(errorOf(again).code).toBe('type-error');
  });
});

describe('what is checked', () => {
  const checked = (file: string) => withModelProgram(file, ({ sources }) => sources.map(({ fileName }) => fileName));
  const dit = `${PACKAGE_ROOT}/models/dit.ts`;

  it('is the model and all that it imports, but no model of this package that the package has checked', () => {
    const text = "import { dit } from 'ditc/models/dit';\nimport './own.ts';\nexport default dit();\n";
    const cwd = realpathSync(folder({ 'my.ts': text, 'own.ts': 'export {};\n' }));
    expect(checked(join(cwd, 'my.ts'))).toEqual([join(cwd, 'my.ts'), join(cwd, 'own.ts')]);
  });

  it('is what this package’s models import of each other', () => {
    expect(checked(`${PACKAGE_ROOT}/models/digits.ts`)).toContain(dit);
    expect(checked(dit)[0]).toBe(dit);
  });
});

describe('what is not a model', () => {
  const cwd = folder({
    'none.ts': 'export const model = 1;\n',
    'fn.ts': 'export default function dit() {\n  return 1;\n}\n',
    'num.ts': '\nexport default 42;\n',
    'empty.ts': "import { defineModel } from 'ditc/dsl';\nexport default defineModel({ config: {}, entries: {} });\n",
    'inner.ts': `import '${PACKAGE_ROOT}/compiler/ir/index.ts';\nexport default 1;\n`,
    'notes.txt': '',
  });
  it.each([
    [
      'none.ts',
      'not-a-model',
      'none.ts: the file has no default export: it exports only model; add export default defineModel',
    ],
    [
      'fn.ts',
      'not-a-model',
      'fn.ts:1:1: the default export is a function, not a model; call it: export default dit({ … })',
    ],
    ['num.ts', 'not-a-model', 'num.ts:2:1: the default export is not a model: it is a value of type number; write '],
    ['empty.ts', 'not-a-model', 'empty.ts:2:1: the model has no entries; '],
    ['inner.ts', 'import', 'inner.ts:1:8: a model file cannot import '],
    ['notes.txt', 'no-file', 'notes.txt: a model file is TypeScript; '],
    ['none', 'no-file', 'none: there is no such file; did you mean none.ts?'],
    ['gone.ts', 'no-file', 'gone.ts: there is no such file; '],
    ['.', 'no-file', '.: it is a folder, not a model file; '],
  ])('%s', (name, code, message) => {
    const error = errorOf(() => load(cwd, name));
    expect(error.code).toBe(code);
    expect(error.message.slice(0, message.length)).toBe(message);
  });
});

/** What the project's own tsc prints, one line an error. */
function tsc(cwd: string, args: string[]): string[] {
  const command = [join(PACKAGE_ROOT, 'node_modules/typescript/bin/tsc'), '--noEmit', '--pretty', ...args];
  const { stdout } = spawnSync(process.execPath, command, { cwd, encoding: 'utf8' });
  return stripColor(stdout)
    .split('\n')
    .filter((line) => / - error TS\d+: /.test(line));
}
