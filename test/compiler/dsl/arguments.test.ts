/**
 * Every function of the DSL with every kind of wrong argument: an error at the user's line, by the name that the user wrote,
 * with a fix; never an error from within ditc, never silence.
 */
import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import * as dsl from '../../../compiler/dsl/index.ts';
import { defineModel, Entry, Scope, Tensor, zeros, type DType } from '../../../compiler/dsl/index.ts';
import { traceEntry } from '../../../compiler/dsl/model.ts';
import { setPlace } from '../../../compiler/dsl/trace.ts';
import { DitcError } from '../../../compiler/ir/index.ts';
import { errorOf } from '../frontend/scratch.ts';

const PLACE = 'my.ts:7:3';

/** What `run` makes of an entry in which x is f32[2,3], i is i32[2,3], u u32[2,3] and b bool[2,3]. */
interface Given {
  readonly e: Entry;
  readonly p: Scope;
  readonly x: Tensor;
  readonly i: Tensor;
  readonly u: Tensor;
  readonly b: Tensor;
  readonly w: Tensor;
  readonly n: Tensor;
  /** u32[], as random numbers are made from. */
  readonly k: Tensor;
  readonly one: Tensor;
}

function run<T>(call: (given: Given) => T): T {
  let result: T | undefined;
  const forward = (e: Entry) => {
    const of = (name: string, dtype: DType) => e.input(name, [2, 3], dtype);
    const [x, i, u, b] = [of('x', 'f32'), of('i', 'i32'), of('u', 'u32'), of('b', 'bool')];
    const w = e.params.param('w', [4, 3]);
    const n = e.state('n', [2, 3], 'i32');
    const one = e.params.param('one', [2, 1, 3]);
    setPlace(PLACE, undefined);
    result = call({ e, p: e.params, x, i, u, b, w, n, k: e.input('k', [], 'u32'), one });
    return { x };
  };
  traceEntry(defineModel({ config: {}, entries: { forward } }), 'forward', { batch: 1 });
  return result!;
}

/** A tensor that no entry but its own may use. */
const foreign = run(({ x }) => x.neg());

const NOTHING = [null, 'x', {}, [], [[1]], () => 1, true, 1n, { node: { type: {} } }, Promise.resolve(1)];
const NUMBERS = [0, -7, 1.5, NaN, Infinity];
const without = (values: readonly unknown[], ...fine: unknown[]) => values.filter((v) => !fine.includes(v));

/** Values that an argument of each kind is not. */
const WRONG = {
  tensor: [...NOTHING, ...NUMBERS, foreign],
  operand: [...NOTHING, foreign],
  scalar: [...NOTHING, foreign],
  whole: [...NOTHING, 1.5, NaN, Infinity, -Infinity, 2 ** 60, foreign],
  axis: [...NOTHING, 1.5, NaN, Infinity, 99, -99, foreign],
  position: [...NOTHING, 1.5, NaN, -Infinity, 99, -99, foreign],
  end: [...NOTHING, 1.5, NaN, -Infinity, 0, -99, foreign],
  size: [...NOTHING, 0, -1, 1.5, NaN, Infinity, 2 ** 60, foreign],
  axes: [...without(NOTHING, NOTHING[3]), 1.5, NaN, 99, -99, [0, 0], [1, -1], [0, 99], [0.5], ['0'], foreign],
  shape: [...without(NOTHING, NOTHING[3]), ...NUMBERS, [0], [-1], [1.5], [NaN], ['2'], [2, , 3], [[2]], foreign],
  sizes: [...NOTHING, ...NUMBERS, [1], [1, 2, 3], [-1, 0], [0.5, 0], [NaN, 0], ['1', 0], foreign],
  dtype: [...NOTHING, ...NUMBERS, 'f64', 'F32', 'constructor', foreign],
  name: [...without(NOTHING, 'x'), ...NUMBERS, '', 'a b', 'a/b', '../x', 'a\nb', foreign],
  member: [...without(NOTHING, 'x'), ...NUMBERS, 'a b', 'a/b', '../x', 'a\nb', foreign],
  path: [...without(NOTHING, 'x'), 1.5, NaN, foreign],
  tensors: [...NOTHING, ...NUMBERS, [1], [undefined], [null], [foreign], foreign],
  list: [...without(NOTHING, NOTHING[3]), ...NUMBERS, [1], [undefined], [foreign], foreign],
  options: [...without(NOTHING, NOTHING[2]), ...NUMBERS, { stride: 2 }, { keepDim: true }, foreign],
  init: [...NOTHING, ...NUMBERS, { kind: 'random' }, foreign],
  std: [...NOTHING, -1, NaN, Infinity, foreign],
  data: [...without(NOTHING, NOTHING[3]), ...NUMBERS, ['1'], [1, undefined], [null], [[1]], [1n], foreign],
  values: [...NOTHING, [1, 2], [1, '2', 3], [1, [2], 3], [1, undefined, 3], [1, 2n, 3], foreign],
  source: [...NOTHING, ...NUMBERS, { key: [], counter: [] }, { key: [1, 2], counter: [1, 2, 3] }, foreign],
  lane: [...NOTHING, -1, 4, 1.5, NaN, Infinity, foreign],
  count: [...NOTHING, 0, -1, 1.5, NaN, Infinity, 2 ** 31, foreign],
} as const satisfies Record<string, readonly unknown[]>;
type Kind = keyof typeof WRONG;

/** A call that is right: on what, with which arguments, each of which kind; optional ones have a `?`, the rest a `…`. */
interface Case {
  readonly on?: (given: Given) => object;
  readonly args: (given: Given) => readonly unknown[];
  readonly kinds: readonly (Kind | `${Kind}?` | `…${Kind}`)[];
}
const on = (pick: (given: Given) => object, kinds: Case['kinds'], args: Case['args'] = () => []): Case => ({
  on: pick,
  args,
  kinds,
});
const x = ({ x }: Given) => x;
const unary = on(x, []);
const binary = on(x, ['operand'], ({ x }) => [x]);
const logical = on(
  ({ b }) => b,
  ['tensor'],
  ({ b }) => [b],
);
const reduction = on(x, ['axes?', 'options?'], () => [1, {}]);

const TENSOR: Record<string, Case> = {
  ...Object.fromEntries('neg exp log sqrt rsqrt square detach'.split(' ').map((name) => [name, unary])),
  ...Object.fromEntries(
    'add sub mul div pow maximum minimum eq ne lt le gt ge'.split(' ').map((name) => [name, binary]),
  ),
  and: logical,
  or: logical,
  not: on(({ b }) => b, []),
  clamp: on(x, ['scalar', 'scalar'], () => [0, 1]),
  cast: on(x, ['dtype'], () => ['i32']),
  matmul: on(x, ['tensor'], ({ w }) => [w.transpose()]),
  reshape: on(x, ['…whole'], () => [3, 2]),
  permute: on(x, ['…axis'], () => [1, 0]),
  transpose: on(x, ['axis?', 'axis?'], () => [0, 1]),
  unsqueeze: on(x, ['axis'], () => [0]),
  squeeze: on(
    ({ one }) => one,
    ['axis'],
    () => [1],
  ),
  broadcastTo: on(x, ['…size'], () => [4, 2, 3]),
  slice: on(x, ['axis', 'position', 'end?', 'size?'], () => [1, 0, 3, 1]),
  split: on(x, ['size', 'axis?'], () => [3, 1]),
  unstack: on(x, ['axis?'], () => [1]),
  unfold: on(x, ['axis', 'size', 'options?'], () => [1, 2, {}]),
  pad: on(x, ['sizes', 'sizes', 'scalar?'], () => [[1, 0], [0, 1], 0.5]),
  sum: reduction,
  mean: reduction,
  max: reduction,
  gather: on(x, ['tensor'], ({ i }) => [i]),
};

const of = (kinds: Case['kinds'], args: Case['args']): Case => ({ kinds, args });
const ofOne = of(['tensor'], ({ x }) => [x]);
const source = ({ k }: Given) => ({ key: [k, k], counter: [k, k, k] });
const FUNCTIONS: Record<string, Case> = {
  ...Object.fromEntries(
    'silu gelu geluExact erf sigmoid tanh exp log sqrt sin cos abs floor isFinite isNaN relu softmax'
      .split(' ')
      .map((name) => [name, ofOne]),
  ),
  layerNorm: of(['tensor', 'std?'], ({ x }) => [x, 1e-5]),
  rmsNorm: of(['tensor', 'std?'], ({ x }) => [x, 1e-5]),
  linear: of(['tensor', 'tensor', 'tensor?'], ({ x, w, p }) => [x, w, p.param('bias', [4])]),
  concat: of(['tensors', 'axis?'], ({ x }) => [[x, x], 0]),
  stack: of(['tensors', 'axis?'], ({ x }) => [[x, x], 0]),
  where: of(['tensor', 'operand', 'operand'], ({ b, x }) => [b, x, 0]),
  randomUniform: of(['source', 'lane?'], (given) => [source(given), 0]),
  randomNormal: of(['source'], (given) => [source(given)]),
  gradients: of(['tensor', 'list'], ({ w }) => [w.sum(), [w]]),
  constant: of(['values', 'shape?', 'dtype?'], () => [[1, 2, 3], [3], 'f32']),
  iota: of(['shape', 'axis?', 'dtype?'], () => [[2, 3], 1, 'i32']),
  normal: of(['std'], () => [1]),
  uniform: of(['std'], () => [1]),
  fixed: of(['data'], () => [[1, 2]]),
  xavierUniform: of(['size', 'size'], () => [3, 4]),
};

const e = ({ e }: Given) => e;
const ENTRY: Record<string, Case> = {
  input: on(e, ['name', 'shape', 'dtype?'], () => ['fresh', [2], 'f32']),
  state: on(e, ['name', 'shape', 'dtype?', 'init?'], () => ['fresh', [2], 'f32', zeros]),
  counter: on(e, ['name', 'count'], () => ['fresh', 3]),
  parameters: on(e, []),
  update: on(e, ['tensor', 'tensor'], ({ n }) => [n, n.add(1)]),
};
const p = ({ p }: Given) => p;
const SCOPE: Record<string, Case> = {
  at: on(p, ['…path'], () => ['blocks', 0]),
  param: on(p, ['member', 'shape', 'init?', 'options?'], () => ['fresh', [2], zeros, {}]),
  linear: on(p, ['member', 'tensor', 'size', 'options?'], ({ x }) => ['fresh', x, 4, {}]),
};

type Method = (...args: unknown[]) => unknown;
const call = (name: string, { on, args }: Case, change: (args: unknown[]) => unknown[]): unknown =>
  run((given) => {
    const target = on?.(given) ?? dsl;
    const all = change([...args(given)]);
    setPlace(PLACE, undefined);
    return (Reflect.get(target, name) as Method).apply(target, all);
  });

/** What is wrong with how a call was refused; undefined when it was refused as it should be. */
function flaw(name: string, attempt: () => unknown): string | undefined {
  try {
    attempt();
    return 'passed in silence';
  } catch (error) {
    if (!(error instanceof DitcError)) return `threw ${String(error)}`;
    const { where, what, why, fix } = error;
    if (where !== PLACE) return `is at ${where}: ${what}`;
    if (!fix) return `has no fix: ${error.message}`;
    const isNamed = what.startsWith(`${name}: `) || error.code === 'name';
    if (!isNamed) return `speaks of something else: ${error.message}`;
    const leak = /reduce_|is_finite|layer_norm|__ditc|Cannot read|\[object|NaN elements/.exec(`${what} ${why} ${fix}`);
    return leak ? `leaks ${leak[0]}: ${error.message}` : undefined;
  }
}

function flaws(name: string, found: Case): string[] {
  const list: string[] = [];
  const check = (title: string, change: (args: unknown[]) => unknown[]) => {
    const wrong = flaw(name, () => call(name, found, change));
    if (wrong) list.push(`${name} ${title} ${wrong}`);
  };
  const shown = (value: unknown) => (value instanceof Tensor ? 'a tensor' : `${typeof value} ${inspect(value)}`);
  found.kinds.forEach((kind, at) => {
    const base = kind.replace(/[?…]/g, '') as Kind;
    for (const value of WRONG[base]) check(`with argument ${at} ${shown(value)}`, (args) => args.with(at, value));
    if (!/[?…]/.test(kind)) check(`without argument ${at}`, (args) => args.slice(0, at));
    if (!/[?…]/.test(kind)) check(`with argument ${at} undefined`, (args) => args.with(at, undefined));
  });
  if (!found.kinds.at(-1)?.startsWith('…')) check('with one argument too many', (args) => [...args, 1]);
  return list;
}

/** The message without its place. */
const told = (attempt: () => unknown): string => errorOf(attempt).message.replace(`${PLACE}: `, '');

const methodsOf = (type: { prototype: object }) =>
  Object.entries(Object.getOwnPropertyDescriptors(type.prototype)).flatMap(([name, { value }]) =>
    name !== 'constructor' && typeof value === 'function' && !PRIVATE.has(name) ? [name] : [],
  );
const PRIVATE = new Set(['axis', 'reduce']);
const NOT_CALLED = new Set(['defineModel', 'Tensor', 'Entry', 'Scope', 'DitcError']);

describe('the table', () => {
  it('has all functions of the DSL', () => {
    const functions = Object.entries(dsl).flatMap(([name, value]) =>
      typeof value === 'function' && !NOT_CALLED.has(name) ? [name] : [],
    );
    expect(Object.keys(FUNCTIONS).sort()).toEqual(functions.sort());
    expect(Object.keys(TENSOR).sort()).toEqual(methodsOf(Tensor).sort());
    expect(Object.keys(ENTRY).sort()).toEqual(methodsOf(Entry).sort());
    expect(Object.keys(SCOPE).sort()).toEqual(methodsOf(Scope).sort());
  });
});

const ALL = [TENSOR, FUNCTIONS, ENTRY, SCOPE].flatMap((table) => Object.entries(table));
describe.each(ALL)('%s', (name, found) => {
  it('takes the right arguments, and with those that may be left out undefined', () => {
    expect(() => call(name, found, (args) => args)).not.toThrow();
    const leave = (args: unknown[]) => args.map((arg, at) => (found.kinds[at]?.endsWith('?') ? undefined : arg));
    if (name !== 'constant' && name !== 'linear') expect(() => call(name, found, leave)).not.toThrow();
  });
  it('tells wrong ones at their line', () => {
    expect(flaws(name, found)).toEqual([]);
  });
});

describe('values that no tensor of that dtype holds', () => {
  const refused: [string, (given: Given) => unknown, RegExp][] = [
    [
      'i32.add(2³¹)',
      ({ i }) => i.add(2 ** 31),
      /^add: y must be a whole number from -2147483648 to 2147483647, as i32/,
    ],
    ['i32.mul(0.5)', ({ i }) => i.mul(0.5), /^mul: y must be a whole number/],
    ['i32.eq(NaN)', ({ i }) => i.eq(NaN), /^eq: y must be a whole number/],
    ['i32.maximum(∞)', ({ i }) => i.maximum(-Infinity), /^maximum: y must be a whole number/],
    ['i32.clamp(0.5, 2)', ({ i }) => i.clamp(0.5, 2), /^clamp: lo must be a whole number/],
    ['u32.add(−1)', ({ u }) => u.add(-1), /^add: y must be a whole number from 0 to 4294967295, as u32/],
    ['u32.sub(2³²)', ({ u }) => u.sub(2 ** 32), /^sub: y must be/],
    ['bool.eq(2)', ({ b }) => b.eq(2), /^eq: y must be a whole number from 0 to 1, as bool/],
    ['where(b, b, 2)', ({ b }) => dsl.where(b, b, 2), /^where: a value must be a whole number from 0 to 1, as bool/],
    ['i32.pad(… 1.5)', ({ i }) => i.pad([1, 0], [0, 0], 1.5), /^pad: value must be a whole number/],
    ['where(b, i, 0.5)', ({ b, i }) => dsl.where(b, i, 0.5), /^where: a value must be a whole number/],
    ['constant(1.5, i32)', () => dsl.constant(1.5, [], 'i32'), /^constant: a value must be a whole number/],
    ['constant([1.5], i32)', () => dsl.constant([1.5], [1], 'i32'), /^constant: a value must be a whole number/],
    ['constant([NaN], i32)', () => dsl.constant([1, NaN], [2], 'i32'), /element 1 is NaN/],
    ['constant([−1], u32)', () => dsl.constant([0, -1], [2], 'u32'), /element 1 is -1/],
    ['constant([2], bool)', () => dsl.constant([0, 2], [2], 'bool'), /element 1 is 2/],
    [
      'constant of 2 in [3]',
      () => dsl.constant([1, 2], [3]),
      /data does not fill the shape: 2 elements, and \[3\] has 3/,
    ],
    ['constant ragged', () => dsl.constant([[1, 2], [3]] as never, [3]), /element 0 is a list of 2; write data flat/],
    ['fixed of 2 in [3]', ({ p }) => p.param('f', [3], dsl.fixed([1, 2])), /^param: the values do not fill the shape/],
    [
      'fixed 0.5 in i32',
      ({ e }) => e.state('f', [1], 'i32', dsl.fixed([0.5])),
      /^state: a value must be a whole number/,
    ],
    ['iota of bool', () => dsl.iota([2], 0, 'bool'), /^iota: dtype must be f32, f16, i32 or u32/],
    ['i32.div(0)', ({ i }) => i.div(0), /^div: y must be other than 0: i32 has no infinity/],
    ['i32.div(constant 0)', ({ i }) => i.div(dsl.constant(0, [], 'i32')), /^div: y must be other than 0/],
  ];
  it.each(refused)('%s', (_, attempt, message) => {
    const wrong = (): unknown => run(attempt);
    expect(told(wrong)).toMatch(message);
    expect(flaw(message.source.slice(1).split(':')[0], wrong) ?? '').not.toMatch(/silence|threw|no fix|is at/);
  });

  it('at the ends of the range are values', () => {
    run(({ i, u, b }) => [i.add(2 ** 31 - 1), i.sub(-(2 ** 31)), u.add(2 ** 32 - 1), dsl.where(b, b, 1), u.div(1)]);
  });
});

describe('what fits each argument but not the tensor', () => {
  const refused: [string, (given: Given) => unknown, RegExp][] = [
    [
      'unsqueeze(3) of rank 2',
      ({ x }) => x.unsqueeze(3),
      /^unsqueeze: there is no axis 3: in the result, of rank 3; give/,
    ],
    ['unsqueeze(−4) of rank 2', ({ x }) => x.unsqueeze(-4), /^unsqueeze: there is no axis -4/],
    ['squeeze(0) of size 2', ({ x }) => x.squeeze(0), /^squeeze: the axis is not of size 1/],
    ['transpose(0, 2)', ({ x }) => x.transpose(0, 2), /^transpose: there is no axis 2: in \[2,3\]/],
    ['permute(0, 0)', ({ x }) => x.permute(0, 0), /^permute: not a permutation/],
    ['permute(0)', ({ x }) => x.permute(0), /^permute: not a permutation/],
    [
      'slice(1, 3)',
      ({ x }) => x.slice(1, 3),
      /^slice: there are no such elements: axis 1 of \[2,3\], from 3 to its end/,
    ],
    ['slice(1, 2, 1)', ({ x }) => x.slice(1, 2, 1), /^slice: there are no such elements/],
    ['slice(1, −4)', ({ x }) => x.slice(1, -4), /^slice: there are no such elements/],
    ['split(2) of 3', ({ x }) => x.split(2), /^split: pieces are not equal/],
    ['unstack(2)', ({ x }) => x.unstack(2), /^unstack: there is no axis 2/],
    ['unfold of 4', ({ x }) => x.unfold(1, 4), /^unfold: no window fits/],
    ['reshape(4, 2)', ({ x }) => x.reshape(4, 2), /^reshape: element counts differ/],
    ['reshape(−1, −1)', ({ x }) => x.reshape(-1, -1), /^reshape: only one size may be −1/],
    ['reshape(−1, 4)', ({ x }) => x.reshape(-1, 4), /^reshape: no size makes \[-1,4\] fit/],
    ['reshape(−1, 0)', ({ x }) => x.reshape(-1, 0), /^reshape: /],
    ['broadcastTo(2)', ({ x }) => x.broadcastTo(2), /^broadcastTo: \[2,3\] does not broadcast to \[2\]/],
    ['concat along 2', ({ x }) => dsl.concat([x, x], 2), /^concat: there is no axis 2/],
    ['concat of two ranks', ({ x, one }) => dsl.concat([x, one], 0), /^concat: operands differ outside axis 0/],
    ['stack along 4', ({ x }) => dsl.stack([x, x], 4), /^stack: there is no axis 4/],
    ['stack of two shapes', ({ x, w }) => dsl.stack([x, w]), /^stack: the tensors have different shapes/],
    ['sum of i32', ({ i }) => i.sum(), /^sum: only floating-point tensors/],
    ['sum([0, −2])', ({ x }) => x.sum([0, -2]), /^sum: an axis is given twice/],
    ['iota([], 0)', () => dsl.iota([], 0), /^iota: there is no axis 0/],
    ['exp of i32', ({ i }) => i.exp(), /^exp: takes floating-point/],
    ['and of f32', ({ x }) => x.and(x), /^and: /],
    ['gather by f32', ({ x }) => x.gather(x), /^gather: indices are i32 or u32/],
    ['where f32', ({ x }) => dsl.where(x, 1, 0), /^where: the condition is a bool tensor/],
    ['matmul of 3 and 4', ({ x, w }) => x.matmul(w), /^matmul: /],
    ['clamp(1, 0)', ({ x }) => x.clamp(1, 0), /^clamp: lo must be at most hi/],
    ['gradients of a vector', ({ w }) => dsl.gradients(w, [w]), /^gradients: the loss is not a scalar/],
    ['gradients of a value', ({ w }) => dsl.gradients(w.sum(), [w.neg()]), /^gradients: xs must be parameters/],
    ['update of an input', ({ e, x }) => e.update(x, x), /^update: the target is not state/],
    ['update with another type', ({ e, n, x }) => e.update(n, x), /^update: n is i32\[2,3\], its new value is f32/],
    ['two updates', ({ e, n }) => [e.update(n, n.add(1)), e.update(n, n.add(2))], /^update: n is updated twice/],
    ['linear of a scalar', ({ p, x }) => p.linear('l', x.sum(), 2), /^linear: x has no axis/],
    ['a method by itself', ({ x }) => [x].map((y) => y.add)[0](x), /^add: it was taken from its tensor/],
  ];
  it.each(refused)('%s', (_, attempt, message) => {
    expect(told(() => run(attempt))).toMatch(message);
    expect(flaw(/\w+/.exec(message.source)![0], () => run(attempt))).toBeUndefined();
  });

  it('and negative axes count from the end, everywhere', () => {
    const shapes = run(({ x, one }) =>
      [
        x.unsqueeze(-1),
        x.unsqueeze(-3),
        one.squeeze(-2),
        x.permute(-1, 0),
        x.transpose(-1, -2),
        x.slice(-1, -2),
        x.split(3, -1)[0],
        x.unstack(-1)[0],
        x.unfold(-2, 1),
        x.sum(-1),
        x.sum([-1, 0]),
        dsl.concat([x, x], -2),
        dsl.stack([x, x], -1),
        dsl.iota([2, 3], -1),
      ].map((y) => y.shape.join('×')),
    );
    expect(shapes).toEqual([
      '2×3×1',
      '1×2×3',
      '2×3',
      '3×2',
      '3×2',
      '2×2',
      '2×1',
      '2',
      '2×3×1',
      '2',
      '',
      '4×3',
      '2×3×2',
      '2×3',
    ]);
  });
});
