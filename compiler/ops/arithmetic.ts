/** Pointwise arithmetic of two operands. */
import { isFloat, isInteger } from '../ir/index.ts';
import type { GradientContext } from './define.ts';
import { binary, infix } from './define-binary.ts';
import { MAXIMUM, MINIMUM, POWER } from './wgsl-helpers.ts';

export const add = binary('add', {
  doc: 'x + y',
  f: (x, y) => x + y,
  wgsl: infix('+'),
  code: { operator: '+' },
  preimage: (c, [least, end]) => [least - c, end - c],
  gradient: ({ dy }) => [dy, dy],
});
export const sub = binary('sub', {
  doc: 'x − y',
  f: (x, y) => x - y,
  wgsl: infix('-'),
  preimage: (c, [least, end]) => [least + c, end + c],
  gradient: ({ f, dy }) => [dy, f.neg(dy)],
});
export const mul = binary('mul', {
  doc: 'x·y',
  f: (x, y) => x * y,
  // Products of 32-bit integers exceed float64's 53 bits.
  integer: Math.imul,
  wgsl: infix('*'),
  code: { operator: '*', hidesZeros: true },
  gradient: ({ f, inputs: [x, y], dy }) => [f.mul(dy, y), f.mul(dy, x)],
});
export const div = binary('div', {
  doc: 'x / y; integers truncate towards zero, and an integer by 0 is itself.',
  f: (x, y) => x / y,
  integer: (x, y) => (y === 0 ? x : x / y),
  wgsl: infix('/'),
  code: { hidesZeros: true },
  gradient: ({ f, inputs: [, y], out, dy }) => [f.div(dy, y), f.neg(f.div(f.mul(dy, out), y))],
  flops: 4,
  ranges: [
    [-2, 2],
    [0.3, 3],
  ],
});
export const rem = binary('rem', {
  doc: 'Remainder of the truncated integer division; 0 where y is 0.',
  f: (x, y) => x % y,
  wgsl: infix('%'),
  gradient: 'none',
  accepts: isInteger,
  sampled: 'u32',
  ranges: [
    [0, 1000],
    [1, 20],
  ],
});
export const pow = binary('pow', {
  doc: 'xʸ as C defines it: 1 where y is 0 or x is 1, NaN where x < 0 and y is no whole number.',
  f: power,
  wgsl: (x, y) => `power(${x}, ${y})`,
  helper: POWER,
  // At y = 0 and at x = 0 the products below are 0·∞; xʸ is constant there.
  gradient: ({ f, inputs: [x, y], out, dy }) => {
    const zero = f.constant(0, dy.type.dtype);
    const byBase = f.mul(dy, f.mul(y, f.pow(x, f.sub(y, 1))));
    const atZero = f.op('and', [f.compare('eq', x, 0), f.compare('ge', y, 0)]);
    return [f.select(f.compare('eq', y, 0), zero, byBase), f.select(atZero, zero, f.mul(dy, f.mul(out, f.log(x))))];
  },
  accepts: isFloat,
  flops: 16,
  ranges: [
    [0.2, 3],
    [-2, 2],
  ],
});

/** JavaScript's power, but 1 to any power is 1. */
function power(x: number, y: number): number {
  if (x === 1 || (x === -1 && Math.abs(y) === Infinity)) return 1;
  return Math.pow(x, y);
}

/** Half of dy at a tie, as PyTorch has it. */
const chosen =
  (worse: 'lt' | 'gt', better: 'lt' | 'gt') =>
  ({ f, inputs: [x, y], dy }: GradientContext) => {
    const shared = f.select(f.compare('eq', x, y), f.mul(dy, 0.5), dy);
    const zero = f.constant(0, dy.type.dtype);
    return [f.select(f.compare(worse, x, y), zero, shared), f.select(f.compare(better, x, y), zero, shared)];
  };
export const max = binary('max', {
  doc: 'The larger of x and y, NaN where one is; at a tie each has half of the gradient.',
  f: Math.max,
  wgsl: (x, y, { output }) => `${output === 'f32' ? 'maximum' : 'max'}(${x}, ${y})`,
  helper: MAXIMUM,
  preimage: (c, [least, end]) => (c >= least ? [-Infinity, end] : [least, end]),
  gradient: chosen('lt', 'gt'),
});
export const min = binary('min', {
  doc: 'The smaller of x and y, NaN where one is; at a tie each has half of the gradient.',
  f: Math.min,
  wgsl: (x, y, { output }) => `${output === 'f32' ? 'minimum' : 'min'}(${x}, ${y})`,
  helper: MINIMUM,
  preimage: (c, [least, end]) => (c < end ? [least, Infinity] : [least, end]),
  gradient: chosen('gt', 'lt'),
});
