/** Names: what they may be, one thing by each, and outputs that are tensors of the entry; said where the model says it. */
import { describe, expect, it } from 'vitest';
import { concat, defineModel, scan, type Entry, type Tensor } from '../../../compiler/dsl/index.ts';
import { traceEntry } from '../../../compiler/dsl/model.ts';
import { formatDiagnostic, loadModel } from '../../../compiler/frontend/index.ts';
import { compileModel } from '../../../compiler/compile.ts';
import { PORTABLE } from '../../../compiler/device.ts';
import { errorOf, modelText, scratchFolder, traced } from '../frontend/scratch.ts';

type Build = (e: Entry) => unknown;
const trace = (build: Build, name = 'forward') =>
  traceEntry(defineModel({ config: {}, entries: { [name]: build as never } }), name, { batch: 1 });
const refused = (build: Build) => errorOf(() => trace(build));

const NEVER = [
  '',
  '../../x',
  '/etc/x',
  'a/b',
  'a\\b',
  'a\nb',
  'a\0b',
  'a b',
  '..',
  '.a',
  '-a',
  '__proto__',
  '\u202eabc',
  '😀',
];
const x = (e: Entry) => e.input('x', [2]);

describe('a name', () => {
  it.each([...NEVER, 'a-b', '0', 'x'.repeat(201), 'CON', 'nul.x'])('of an output is not %j', (name) => {
    const error = refused((e) => ({ [name]: x(e).neg() }));
    expect(error).toMatchObject({ code: 'name', fix: expect.any(String) as string });
    expect(error.what).toMatch(/cannot be the name of an output$/);
  });

  it.each([...NEVER, 'x'.repeat(201)])('of an input, parameter or state is not %j', (name) => {
    for (const build of [
      (e: Entry) => e.input(name, [2]),
      (e: Entry) => e.params.param(name, [2]),
      (e: Entry) => e.state(name, [2]),
      (e: Entry) => e.counter(name, 2),
    ]) {
      if (name === '' && String(build).includes('params')) continue; // The scope's own name.
      expect(refused(build), String(build)).toMatchObject({ code: 'name' });
    }
  });

  it('of an entry is an identifier', () => {
    for (const name of ['a.b', 'a-b', 'a b', '../x', '1'])
      expect(errorOf(() => trace((e) => ({ out: x(e) }), name)).what).toMatch(/cannot be the name of an entry/);
  });

  it('may be in any script, and numbered as checkpoints do', () => {
    const { graph, params } = trace((e) => {
      const w = e.params.at('0', 'заголовок').param('weight-1', [2]);
      return { Größe: x(e).mul(w), _a1: e.state('ema.0.w', [2]), 'a.b': x(e) };
    });
    expect(graph.outputs.map(({ name }) => name)).toEqual(['Größe', '_a1', 'a.b']);
    expect(params[0].node.attrs.name).toBe('0.заголовок.weight-1');
  });

  it('stands for one thing', () => {
    const cases: [Build, string][] = [
      [(e) => [e.input('x', [2]), e.input('x', [3])], 'input x is declared twice, differently: f32[2] and f32[3]'],
      [(e) => [e.input('x', [2]), e.input('x', [2], 'i32')], 'declared twice, differently: f32[2] and i32[2]'],
      [
        (e) => [e.input('y', [2], 'i32'), e.input('y', [2], 'i32', { classes: 2 })],
        'any number of classes and 2 classes',
      ],
      [(e) => [e.input('y', [2], 'f32', { classes: 2 })], 'input: classes are whole numbers: y is f32'],
      [(e) => [e.params.param('x', [2]), e.params.param('x', [3])], 'param x is declared twice, differently'],
      [(e) => [e.state('x', [2]), e.state('x', [3])], 'state x is declared twice, differently'],
      [(e) => [e.counter('n', 2), e.counter('n', 3)], 'i32[], of 2 and i32[], of 3'],
      [(e) => [e.input('x', [2]), e.params.param('x', [2])], 'x is an input and a parameter'],
      [(e) => [e.state('x', [2]), e.input('x', [2])], 'x is a state and an input'],
      [(e) => [e.params.param('x', [2]), e.state('x', [2])], 'x is a parameter and a state'],
      [(e) => ({ out: x(e), Out: x(e).neg() }), 'outputs out and Out differ in case only'],
    ];
    for (const [build, message] of cases) expect(refused(build).message).toContain(message);
    const { graph } = trace((e) => ({ out: e.input('x', [2]).add(e.input('x', [2])) }));
    expect(graph.inputs).toHaveLength(1);
  });
});

describe('kernels', () => {
  const compiled = (build: (e: Entry) => Record<string, Tensor>) => {
    const model = defineModel({ config: {}, entries: { forward: build } });
    return compileModel(model, { name: 'n', source: 'n.ts', device: PORTABLE, entryOptions: { batch: 1 } });
  };

  it('have files that no system takes for one another, or for a device', () => {
    const { manifest } = compiled((e) => {
      const named = (name: string, y: Tensor) => {
        y.node.name = name;
        return y;
      };
      const [a, b] = [e.input('a', [3]), e.input('b', [4])];
      return { p: named('Con', a.exp()), q: named('total', b.log()), r: named('Total', b.sum()) };
    });
    const files = Object.values(manifest.kernels).map(({ file }) => file.toLowerCase());
    expect(new Set(files).size).toBe(3);
    expect(files).not.toContain('kernels/con.wgsl');
  });
});

describe('what an entry returns', () => {
  let other: Tensor | undefined;
  trace((e) => ({ out: (other = x(e).neg()) }));
  it.each<[string, unknown, RegExp]>([
    ['undefined', { out: undefined }, /^output out of entry forward is undefined, not a tensor; give it a value/],
    ['null', { out: null }, /output out .* is null, not a tensor; give it a value/],
    ['a number', { out: 5 }, /output out .* is 5, not a tensor; write constant\(…\)/],
    ['a list', { out: [1, 2] }, /output out .* is a list of 2, not a tensor; join its tensors/],
    ['an object', { out: {} }, /output out .* is an object, not a tensor; give each of its tensors a name/],
    ['a promise', { out: Promise.resolve() }, /output out .* is a promise, not a tensor; an entry is not async/],
    ['a function', { out: () => {} }, /output out .* is a function, not a tensor/],
    ['text', { out: 'x' }, /output out .* is the text "x", not a tensor/],
    ['what looks like a tensor', { out: { node: { type: {}, inputs: [] } } }, /output out .* is an object/],
    ['another entry’s tensor', { out: other }, /output out .* was computed in another entry; compute it in this one/],
    ['a promise of all', Promise.resolve({}), /entry forward returns a promise; an entry is not async/],
    ['null itself', null, /entry forward returns null; return its results by name/],
    ['a number itself', 5, /entry forward returns 5; return its results by name/],
    ['a list itself', [], /entry forward returns a list of 0; return its results by name/],
    ['a map', new Map(), /entry forward returns an object; return its results by name/],
  ])('is not %s', (_, value, message) => {
    expect(refused(() => value).message).toMatch(message);
  });

  it.each<[string, (e: Entry, theirs: Tensor) => Tensor]>([
    ['operand', (e, theirs) => x(e).add(theirs)],
    ['tensor whose method is called', (_e, theirs) => theirs.add(1)],
    ['tensor in a list', (e, theirs) => concat([x(e), theirs])],
    ['value that a loop carries', (e, theirs) => scan((h) => [h], { h: theirs }, x(e))[0].h],
  ])('is not computed from another entry’s: an %s', (_, make) => {
    const { message } = refused((e) => ({ out: make(e, other!) }));
    expect(message).toMatch(/^(add|concat|scan): .*; an entry has the tensors that it makes itself: call what makes/);
  });

  it('is not a tensor alone', () => {
    expect(refused((e) => x(e)).message).toMatch(/returns a tensor without a name; return .*\{ out: tensor \}/);
  });
});

describe('in a model file, both are told at their line', () => {
  const folder = scratchFolder();
  const place = (body: string) => {
    const loaded = loadModel('my.ts', { cwd: folder({ 'my.ts': modelText(body) }) });
    const error = errorOf(() => traced(loaded));
    return { where: error.where, text: formatDiagnostic(error, loaded.sourceText, { color: false }) };
  };

  it('outputs at the return', () => {
    const body = "  const x = e.input('x', [2, 8]);\n  const [a, b] = x.split(1);\n  return { a, b };";
    const { where, text } = place(body);
    expect(where).toBe('my.ts:6:3');
    expect(text).toContain('    6 |   return { a, b };\n      |   ^^^^^^\n');
    expect(place("  const x = e.input('x', [2]);\n  return {\n    'a/b': x };").where).toBe('my.ts:5:3');
  });

  it('names at the call', () => {
    expect(place("  const x = e.input('x', [2]);\n  return { out: x.add(e.input('x', [2, 2])) };").where).toBe(
      'my.ts:5:25',
    );
    expect(place("  return { out: e.state('a/b', [2]) };").where).toBe('my.ts:4:19');
  });
});
