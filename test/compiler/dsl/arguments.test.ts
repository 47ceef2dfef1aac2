/**
 * Every function of the DSL with every kind of wrong argument: an error at the user's line, by the name that the user wrote,
 * with a fix; never an error from within ditc, never silence.
 */
import { describe, expect, it } from 'vitest';
import * as dsl from '../../../compiler/dsl/index.ts';
import { Entry, Scope, Tensor } from '../../../compiler/dsl/index.ts';
import { call, ENTRY, flaw, flaws, FUNCTIONS, run, SCOPE, TENSOR, told, type Given } from './calls.ts';

const methodsOf = (type: { prototype: object }) =>
  Object.entries(Object.getOwnPropertyDescriptors(type.prototype)).flatMap(([name, { value }]) =>
    name !== 'constructor' && typeof value === 'function' && !PRIVATE.has(name) ? [name] : [],
  );
const PRIVATE = new Set(['axis', 'ones', 'reduce']);
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
    ['f32.rem(2)', ({ x }) => x.rem(2), /^rem: does not take f32/],
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
