import { describe, expect, it } from 'vitest';
import { formatDiagnostic, loadModel, type LoadedModel } from '../../../compiler/frontend/index.ts';
import { callLength } from '../../../compiler/frontend/diagnostic.ts';
import { DitcError } from '../../../compiler/ir/index.ts';
import { errorOf, modelText, scratchFolder, traced } from './scratch.ts';

const folder = scratchFolder();
const load = (body: string, imports = '', files: Record<string, string> = {}): LoadedModel =>
  loadModel('my.ts', { cwd: folder({ 'my.ts': modelText(body, imports), ...files }) });
const shown = (loaded: LoadedModel) => {
  const error = errorOf(() => traced(loaded));
  return { error, text: formatDiagnostic(error, loaded.sourceText, { color: false }) };
};
const input = "  const x = e.input('x', [2, 8]), w = e.input('w', [2, 3]);\n";

describe('an error of the DSL', () => {
  it('is at the call, among nested calls', () => {
    const { error, text } = shown(load(`${input}  return { out: silu(x.add(silu(x).mul(w.neg()))) };`));
    expect(error.where).toBe('my.ts:5:36');
    expect(text.split('\n').slice(0, 4)).toEqual([
      `my.ts:5:36 — ${error.what}`,
      `    4 | ${input.trimEnd()}`,
      '    5 |   return { out: silu(x.add(silu(x).mul(w.neg()))) };',
      `      |                                    ^^^^^^^^^^^^  ${error.why}`,
    ]);
    expect(text).toContain(`\n   fix: ${error.fix}`);
  });

  it('is at the call, among chained calls over several lines', () => {
    const body = `${input}  return { out: x\n    .mul(2)\n    .transpose()\n    .matmul(w.exp())\n    .matmul(x) };`;
    expect(shown(load(body)).error.where).toBe('my.ts:9:6');
    expect(shown(load(`${input}  return { out: x.exp().neg().squeeze(0).square() };`)).error.where).toBe('my.ts:5:31');
  });

  it('in a helper of an imported file is there, and says who called', () => {
    const help =
      "import type { Tensor } from 'ditc/dsl';\n\nexport const join = (a: Tensor, b: Tensor) =>\n  a.add(b);\n";
    const loaded = load(`${input}  return { out: join(x, w) };`, "import { join } from './lib/help.ts';", {
      'lib/help.ts': help,
    });
    const { error, text } = shown(loaded);
    expect(error).toMatchObject({ code: 'shape', where: 'lib/help.ts:4:5' });
    expect(text).toContain('    4 |   a.add(b);\n      |     ^^^^^^');
    expect(text).toContain('\n   called from my.ts:5:17\n');
  });

  it('while the file itself runs has its place', () => {
    const error = errorOf(() => load('return {};', "import { constant } from 'ditc/dsl';\nconstant(1).exp();"));
    expect(error).toMatchObject({ code: 'no-trace', where: 'my.ts:3:1' });
  });

  it('that concerns no place has none', () => {
    const error = new DitcError({ code: 'entry', what: 'the model has no entry f', why: 'one\ntwo', fix: 'choose g' });
    expect(formatDiagnostic(error, () => undefined, { color: false })).toBe(
      'the model has no entry f\n   one\n   two\n   fix: choose g',
    );
  });
});

describe('a tensor that decides something', () => {
  it.each([
    ['if (x.gt(0)) return { out: x };\n  return { out: w };', 'x.gt(0)'],
    ['return { out: x.gt(0) ? x : w };', 'x.gt(0)'],
    ['return { out: !x ? x : w };', 'x'],
    ['return { out: x && w };', 'x'],
    ['while (x.sum([0, 1])) break;\n  return { out: x };', 'x.sum([0, 1])'],
  ])('is refused at its place: %s', (body, text) => {
    const error = errorOf(() => load(`${input}  ${body}`));
    expect(error).toMatchObject({ code: 'condition', where: expect.stringMatching(/^my\.ts:5:\d+$/) as string });
    expect(error.why).toContain(`there ${text} is always true`);
  });

  it('may be asked for whether it is there', () => {
    const body = `${input}  const bias = undefined as Tensor | undefined;\n  return { out: bias ? x.add(bias) : x };`;
    expect(load(body, "import type { Tensor } from 'ditc/dsl';").model.entries.forward).toBeTypeOf('function');
  });
});

describe('a crash of the user’s code', () => {
  it.each([
    [
      'const [a, b] = x as any;\n  return { a, b };',
      /my\.ts:5:\d+: \[a, b\] is taken from what is not a list: it is a tensor; give a list/,
    ],
    ['let a: any; [a] = undefined as any;\n  return { a };', /\[a\] is taken from what is not a list: it is undefined/],
    ['return { out: (x as any).go() };', /TypeError: go is not a function$/],
    ['return { out: (x as any).go(1) };', /TypeError: x\.go is not a function$/],
    [
      'return { out: (x.neg() as any)().y };',
      /TypeError: x.neg\(\.\.\.\) is not a function|TypeError: neg\(\.\.\.\) is not a function/,
    ],
  ])('is told without the calls that were put around his: %s', (body, message) => {
    const { message: told } = shown(load(`${input}  ${body}`)).error;
    expect(told).toMatch(message);
    expect(told).not.toContain('__ditc');
  });

  it('is mapped to the source through types, templates and helpers', () => {
    const { error, text } = shown(
      load(
        `  interface Erased { a: number }
  const f = <T,>(x: T): T => (x as unknown as { a: { b: T } }).a.b;
  return { out: f(e.input('x', [1])) };`,
        '/* one */ type Also = string; declare const erased: Also;',
      ),
    );
    expect(error).toMatchObject({ code: 'model-crash', where: 'my.ts:5:66' });
    expect(error.what).toBe("TypeError: Cannot read properties of undefined (reading 'b')");
    expect(text).toContain('\n   called from my.ts:6:17');
    expect((error.cause as Error).name).toBe('TypeError');
  });

  it('while the file runs, or with something that is no Error, is placed too', () => {
    const thrown = errorOf(() => load('return {};', "\nthrow new RangeError('depth must be even');"));
    expect(thrown).toMatchObject({ code: 'model-crash', where: 'my.ts:3:7', what: 'RangeError: depth must be even' });
    const { error } = shown(
      load(`  const x = silu(e.input('x', [1]));\n  if (x.shape.length) throw 'no';\n  return {};`),
    );
    expect(error).toMatchObject({ code: 'model-crash', where: 'my.ts:4:13', what: 'the model threw no' });
  });

  it('of the compiler passes through as it is', () => {
    expect(formatDiagnostic(new TypeError('ours'), () => undefined, {})).toMatch(/^TypeError: ours\n {4}at /);
  });
});

describe('the underline', () => {
  it.each([
    ['q.matmul(w).exp()', 2, 'matmul(w)'],
    ["f(')', [g(1)], x).y", 0, "f(')', [g(1)], x)"],
    ['x.slice<T>(a)', 2, 'slice<T>(a)'],
    ['layerNorm(', 0, 'layerNorm('],
    ['name + 1', 0, 'name'],
    ['(a)', 0, '('],
  ])('of %s', (text, start, part) => expect(callLength(text, start)).toBe(part.length));
});

describe('a refusal by one of this package’s models', () => {
  it('points at the call in the user’s file', () => {
    const text = "import { dit } from 'ditc/models/dit';\n\nexport default dit({ hiddenSize: 64, numHeads: 5 });\n";
    const cwd = folder({ 'my.ts': text });
    const error = errorOf(() => loadModel('my.ts', { cwd }));
    expect(error).toMatchObject({ code: 'config', where: 'my.ts:3:16' });
    expect(formatDiagnostic(error, undefined, { color: false })).toContain('^^^^^^^^^^^^');
  });
});
