/** Calls of all functions of the DSL that are right, what each argument must be, and values that it is not. */
import { inspect } from 'node:util';
import * as dsl from '../../../compiler/dsl/index.ts';
import type { Entry, Scope } from '../../../compiler/dsl/index.ts';
import { defineModel, Tensor, zeros, type DType } from '../../../compiler/dsl/index.ts';
import { traceEntry } from '../../../compiler/dsl/model.ts';
import { setPlace } from '../../../compiler/dsl/trace.ts';
import { DitcError } from '../../../compiler/ir/index.ts';
import { errorOf } from '../frontend/scratch.ts';

export const PLACE = 'my.ts:7:3';

/** What `run` makes of an entry in which x is f32[2,3], i is i32[2,3], u u32[2,3] and b bool[2,3]. */
export interface Given {
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

export function run<T>(call: (given: Given) => T): T {
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
export const WRONG = {
  tensor: [...NOTHING, ...NUMBERS, foreign],
  operand: [...NOTHING, foreign],
  scalar: [...NOTHING, foreign],
  parts: [...NOTHING, 0, -1, 1.5, NaN, Infinity, [0, 3], [1, 1], [1.5, 1.5], [NaN], [4], foreign],
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
  flips: [...NOTHING, 1.5, NaN, 99, -99, [0, 0], [1, -1], [0, 99], [0.5], ['0'], foreign],
  start: [...NOTHING, -1, 1.5, NaN, Infinity, 2, foreign],
  most: [...NOTHING, 0, -1, 1.5, NaN, Infinity, 4, foreign],
  pair: [...NOTHING, ...NUMBERS, [1], [1, 2, 3], [0, 1], [1.5, 1], foreign],
  grid: [...NOTHING, ...NUMBERS, [0], [1.5], [2, 3, 5], foreign],
  even: [...NOTHING, 0, 1, 6, -8, 1.5, NaN, Infinity, foreign],
  options: [...without(NOTHING, NOTHING[2]), ...NUMBERS, { strides: 2 }, { keepDim: true }, foreign],
  init: [...NOTHING, ...NUMBERS, { kind: 'random' }, foreign],
  std: [...NOTHING, -1, NaN, Infinity, foreign],
  data: [...without(NOTHING, NOTHING[3]), ...NUMBERS, ['1'], [1, undefined], [null], [[1]], [1n], foreign],
  values: [...NOTHING, [1, 2], [1, '2', 3], [1, [2], 3], [1, undefined, 3], [1, 2n, 3], foreign],
  source: [...NOTHING, ...NUMBERS, { key: [], counter: [] }, { key: [1, 2], counter: [1, 2, 3] }, foreign],
  lane: [...NOTHING, -1, 4, 1.5, NaN, Infinity, foreign],
  callback: [...NOTHING.filter((value) => typeof value !== 'function'), ...NUMBERS, foreign],
  structure: [null, 'x', [[1]], () => 1, true, 1n, NOTHING.at(-2), Promise.resolve(1), ...NUMBERS, [foreign], foreign],
  count: [...NOTHING, 0, -1, 1.5, NaN, Infinity, 2 ** 31, foreign],
} as const satisfies Record<string, readonly unknown[]>;
export type Kind = keyof typeof WRONG;

/** A call that is right: on what, with which arguments, each of which kind; optional ones have a `?`, the rest a `…`. */
export interface Case {
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

export const TENSOR: Record<string, Case> = {
  ...Object.fromEntries('neg exp log sqrt rsqrt square detach'.split(' ').map((name) => [name, unary])),
  ...Object.fromEntries(
    'add sub mul div pow maximum minimum eq ne lt le gt ge'.split(' ').map((name) => [name, binary]),
  ),
  rem: on(
    ({ i }) => i,
    ['operand'],
    ({ i }) => [i],
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
  split: on(x, ['parts', 'axis?'], () => [3, 1]),
  unstack: on(x, ['axis?'], () => [1]),
  unfold: on(x, ['axis', 'size', 'options?'], () => [1, 2, {}]),
  pad: on(x, ['sizes', 'sizes', 'scalar?'], () => [[1, 0], [0, 1], 0.5]),
  sum: reduction,
  mean: reduction,
  max: reduction,
  min: reduction,
  any: on(
    ({ b }) => b,
    ['axes?', 'options?'],
    () => [1, {}],
  ),
  all: on(
    ({ b }) => b,
    ['axes?', 'options?'],
    () => [1, {}],
  ),
  gather: on(x, ['tensor'], ({ i }) => [i]),
};

const of = (kinds: Case['kinds'], args: Case['args']): Case => ({ kinds, args });
const ofOne = of(['tensor'], ({ x }) => [x]);
const source = ({ k }: Given) => ({ key: [k, k], counter: [k, k, k] });
export const FUNCTIONS: Record<string, Case> = {
  ...Object.fromEntries(
    'silu gelu geluExact erf softplus sigmoid tanh exp log sqrt sin cos abs floor isFinite isNaN relu softmax'
      .split(' ')
      .map((name) => [name, ofOne]),
  ),
  layerNorm: of(['tensor', 'std?'], ({ x }) => [x, 1e-5]),
  rmsNorm: of(['tensor', 'std?'], ({ x }) => [x, 1e-5]),
  logSumExp: of(['tensor', 'axis?', 'options?'], ({ x }) => [x, 1, {}]),
  crossEntropy: of(['tensor', 'tensor', 'options?'], ({ x, e }) => [x, e.input('labels', [2], 'i32'), {}]),
  groupNorm: of(['tensor', 'size', 'std?'], ({ x }) => [x, 3, 1e-5]),
  takeAlong: of(['tensor', 'tensor', 'axis?'], ({ x, i }) => [x, i, 1]),
  take: of(['tensor', 'tensor', 'axis?'], ({ x, i }) => [x, i, 1]),
  scatterAdd: of(['tensor', 'tensor', 'tensor', 'axis?'], ({ x, i }) => [x, i, x, 1]),
  flip: of(['tensor', 'flips'], ({ x }) => [x, 1]),
  setSlice: of(['tensor', 'axis', 'start', 'tensor'], ({ x }) => [x, 0, 1, x.slice(0, 0, 1)]),
  argmax: of(['tensor', 'axis?'], ({ x }) => [x, 1]),
  argmin: of(['tensor', 'axis?'], ({ x }) => [x, 1]),
  topK: of(['tensor', 'most', 'axis?'], ({ x }) => [x, 2, 1]),
  conv2d: of(['tensor', 'tensor', 'tensor?', 'options?'], ({ e, p }) => [
    e.input('picture', [1, 2, 5, 4]),
    p.param('kernel', [3, 2, 3, 3]),
    p.param('bias', [3]),
    { stride: [2, 1], padding: [[1, 0], [0, 2]], dilation: 1, groups: 1 }, // prettier-ignore
  ]),
  windows: of(['tensor', 'size', 'options?', 'scalar?'], ({ e }) => [
    e.input('picture', [1, 2, 5, 4]),
    2,
    { stride: [2, 1], padding: 1, dilation: 1 },
    0,
  ]),
  convTranspose2d: of(['tensor', 'tensor', 'tensor?', 'options?'], ({ e, p }) => [
    e.input('picture', [1, 2, 5, 4]),
    p.param('kernel', [2, 3, 3, 3]),
    p.param('bias', [3]),
    { stride: 2, padding: 1, outputPadding: [1, 0] },
  ]),
  resize: of(['tensor', 'pair', 'options?'], ({ e }) => [
    e.input('picture', [1, 2, 5, 4]),
    [7, 3],
    { mode: 'bilinear' },
  ]),
  rotary: of(['tensor', 'tensor', 'options?'], ({ e }) => [
    e.input('queries', [2, 5, 4]),
    e.input('angles', [5, 2]),
    { pairs: 'neighbours' },
  ]),
  rotaryAngles: of(['grid', 'even', 'std?'], () => [[2, 3], 8, 100]),
  cumsum: of(['tensor', 'axis?'], ({ x }) => [x, 1]),
  recurrence: of(['tensor', 'tensor', 'axis?'], ({ x }) => [x, x, 1]),
  scan: of(['callback', 'structure', 'structure', 'options?'], ({ x }) => [
    (h: Tensor, row: Tensor) => [h.add(row), h],
    x,
    x,
    { reverse: true },
  ]),
  foriLoop: of(['count', 'callback', 'structure'], ({ x }) => [3, (h: Tensor) => h.mul(2), x]),
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
export const ENTRY: Record<string, Case> = {
  input: on(e, ['name', 'shape', 'dtype?'], () => ['fresh', [2], 'f32']),
  state: on(e, ['name', 'shape', 'dtype?', 'init?'], () => ['fresh', [2], 'f32', zeros]),
  counter: on(e, ['name', 'count'], () => ['fresh', 3]),
  parameters: on(e, []),
  adapt: on(e, ['callback'], () => [(_name: string, value: Tensor) => value]),
  update: on(e, ['tensor', 'tensor'], ({ n }) => [n, n.add(1)]),
};
const p = ({ p }: Given) => p;
export const SCOPE: Record<string, Case> = {
  at: on(p, ['…path'], () => ['blocks', 0]),
  param: on(p, ['member', 'shape', 'init?', 'options?'], () => ['fresh', [2], zeros, {}]),
  linear: on(p, ['member', 'tensor', 'size', 'options?'], ({ x }) => ['fresh', x, 4, {}]),
};

type Method = (...args: unknown[]) => unknown;
export const call = (name: string, { on, args }: Case, change: (args: unknown[]) => unknown[]): unknown =>
  run((given) => {
    const target = on?.(given) ?? dsl;
    const all = change([...args(given)]);
    setPlace(PLACE, undefined);
    return (Reflect.get(target, name) as Method).apply(target, all);
  });

/** What is wrong with how a call was refused; undefined when it was refused as it should be. */
export function flaw(name: string, attempt: () => unknown): string | undefined {
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

export function flaws(name: string, found: Case): string[] {
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
export const told = (attempt: () => unknown): string => errorOf(attempt).message.replace(`${PLACE}: `, '');
