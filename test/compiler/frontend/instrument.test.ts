import { compileFunction } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { HOOK_NAMES } from '../../../compiler/frontend/instrument.ts';
import { hooks } from '../../../compiler/frontend/hooks.ts';
import { compileUnit } from '../../../compiler/frontend/unit.ts';

/** Runs a file's text and returns its exports and the places it passed; `at` sees each place too. */
function run(text: string, at: <T>(where: string, value: T) => T = (_, value) => value) {
  const exports: Record<string, unknown> = {};
  const { code } = compileUnit('/m.ts', text, 'm.ts');
  const places: string[] = [];
  const mark = <T>(where: string, value: T): T => (places.push(where), at(where, value));
  const { bind, bindAll } = hooks;
  compileFunction(code, ['exports', ...Object.values(HOOK_NAMES)])(exports, mark, bind, bindAll, {
    url: 'file:///m.ts',
  });
  return { exports, places, code };
}

/** What an expression is worth after instrumentation, with the statements before it. */
const value = (expression: string, before = ''): unknown =>
  run(`${before}\nexport const out = ${expression};`).exports.out;

describe('instrumentation keeps the meaning', () => {
  const object = `
    let reads = 0;
    const o = { n: 5, get node() { reads++; return { op: 'x', inputs: [1] }; }, self() { return this; },
      add(a: number, b = this.n) { return a + b; }, none: undefined as any, nested: { f: () => 7, g() { return this; } } };`;
  it.each<[string, unknown, string?]>([
    ['o.self() === o && o.nested.g() === o.nested', true, object],
    ['o.add(1) + o.add(1, 2) + o.add(...[1, 1] as [number, number])', 11, object],
    ['[o.none?.f(1), o.none?.f(), o.none?.f.g.h(), o.none?.f().g(), o.none?.[0]()]', Array(5).fill(undefined), object],
    ['[o.nested?.f(), o.nested.f?.(), o?.nested?.f(), o?.nested.f()]', [7, 7, 7, 7], object],
    ['(() => { const p = o; let q; q = p; const [r] = [q]; return reads; })()', 0, object],
    [
      'tag`a${[1, 2].map((x) => x * 2).join("-")}b`',
      'a|b:2-4',
      'const tag = (s: any, ...v: any[]) => s.join("|") + ":" + v;',
    ],
    [
      '[named.name, fn.name, (Klass as any).name, cast.name]',
      ['named', 'fn', 'Klass', 'cast'],
      'const named = () => 1; const fn = function () {}; const Klass = class {}; const cast = (() => 1) as () => number;',
    ],
    [
      'f(g(1), ...h(2))',
      '1,2,2',
      'const f = (...a: number[]) => a.join(); const g = <T,>(x: T): T => x; function* h(n: number) { yield n; yield n; }',
    ],
    [
      'new B(3).m()',
      17,
      `
      class A { #p = 2; constructor(public k: number) {} m() { return this.k + this.#q(); } #q() { return this.#p; } static s() { return 4; } }
      class B extends A { constructor(k: number) { super(k * 2); } override m() { return super.m() + super.m() + B.s() - 3; } }`,
    ],
    [
      '(() => { let a = 1, b = 2; [a, b] = [b, a]; ({ x: a, y: b } = { x: a * 10, y: b * 10 }); return [a, b]; })()',
      [20, 10],
    ],
    [
      '(() => { const [a = 4, , ...rest] = [undefined, 1, 2, 3]; const { b: { c = 5 } = {} } = {} as any; return [a, rest, c]; })()',
      [4, [2, 3], 5],
    ],
    [
      '(() => { const fs = []; for (let i = 0, n = [1, 2].length; i < n; i++) fs.push(() => i); return fs.map((f) => f()); })()',
      [0, 1],
    ],
    ['((f: Function) => f.call({ t: 9 }, 1))(function (this: any, x: number) { return this.t + x; })', 10],
    ['fs.map((f) => f(2)(3))', [5], 'const fs = [(a: number) => (b: number) => a + b];'],
    ['[E.A, E.B, N.x]', [1, 3, 'n'], "enum E { A = 1, B = 'abc'.length } namespace N { export const x = 'n'.trim(); }"],
    ['import.meta.url', 'file:///m.ts'],
    ['(function () { return this; })() === undefined', true],
    ['o.m!()!.n!', 5, 'const o = { n: 5, m() { return this as { n: number } | undefined; } };'],
  ])('%s', (expression, expected, before) => expect(value(expression, before)).toEqual(expected));

  it('in async code, generators and getters', async () => {
    const text = `
      const wait = async <T,>(x: T) => x;
      class C { get g() { return [1, 2].concat(3); } async m() { const a = await wait(this.g); return a.length; } }
      function* gen(): Generator<number> { const got: number = yield Math.max(1, 2); yield got * 2; }
      const it = gen();
      export const out = new C().m();
      export const yields = [it.next().value, it.next(5).value];
      export let live = 1;
      live = Math.min(7, 8);`;
    const { exports } = run(text);
    expect(await exports.out).toBe(3);
    expect(exports.yields).toEqual([2, 10]);
    expect(exports.live).toBe(7);
  });
});

describe('places', () => {
  it('are passed right before each call, after its arguments', () => {
    const log: string[] = [];
    const text = `const f = (name: string, ..._: unknown[]) => (globalThis as any).log(name);
f('outer', f('a'), f('b'));
const x = { m() { (globalThis as any).log('m'); return this; } };
x.m()
  .m();
x['m']();`;
    Object.assign(globalThis, { log: (name: string) => void log.push(name) });
    run(text, (where, v) => (where.startsWith('m.ts:1:') || log.push(where.slice(5)), v));
    expect(log.filter((entry) => !/^3:/.test(entry))).toEqual([
      '2:12',
      'a',
      '2:20',
      'b',
      '2:1',
      'outer',
      '4:3',
      'm',
      '5:4',
      'm',
      '6:3',
      'm',
    ]);
  });

  it('stay out of super, import, decorators and plain calls without arguments', () => {
    const text = `const f = () => 1; f();
class A { constructor(_: number) {} } class B extends A { constructor() { super(1); } }
new B();`;
    expect(run(text).places).toEqual([]);
  });
});
