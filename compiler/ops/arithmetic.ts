/** Pointwise arithmetic of two operands. */
import { isFloat, isInteger } from '../ir/index.ts';
import type { GradientContext } from './define.ts';
import { binary, infix } from './define-binary.ts';

export const add = binary('add', {
  doc: 'x + y',
  f: (x, y) => x + y,
  wgsl: infix('+'),
  gradient: ({ dy }) => [dy, dy],
});
export const sub = binary('sub', {
  doc: 'x − y',
  f: (x, y) => x - y,
  wgsl: infix('-'),
  gradient: ({ f, dy }) => [dy, f.neg(dy)],
});
export const mul = binary('mul', {
  doc: 'x·y',
  f: (x, y) => x * y,
  // Products of 32-bit integers exceed float64's 53 bits.
  integer: Math.imul,
  wgsl: infix('*'),
  gradient: ({ f, inputs: [x, y], dy }) => [f.mul(dy, y), f.mul(dy, x)],
});
export const div = binary('div', {
  doc: 'x / y; integers truncate towards zero.',
  f: (x, y) => x / y,
  wgsl: infix('/'),
  gradient: ({ f, inputs: [, y], out, dy }) => [f.div(dy, y), f.neg(f.div(f.mul(dy, out), y))],
  flops: 4,
  ranges: [
    [-2, 2],
    [0.3, 3],
  ],
});
export const rem = binary('rem', {
  doc: 'Remainder of the truncated integer division.',
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
  doc: 'xʸ for x > 0.',
  f: Math.pow,
  wgsl: (x, y) => `pow(${x}, ${y})`,
  gradient: ({ f, inputs: [x, y], out, dy }) => [f.mul(dy, f.div(f.mul(out, y), x)), f.mul(dy, f.mul(out, f.log(x)))],
  accepts: isFloat,
  flops: 16,
  ranges: [
    [0.2, 3],
    [-2, 2],
  ],
});

const chosen =
  (keep: 'ge' | 'le') =>
  ({ f, inputs: [x, y], dy }: GradientContext) => {
    const first = f.compare(keep, x, y);
    const zero = f.constant(0, dy.type.dtype);
    return [f.select(first, dy, zero), f.select(first, zero, dy)];
  };
export const max = binary('max', {
  doc: 'The larger of x and y; at a tie the gradient goes to x.',
  f: Math.max,
  wgsl: (x, y) => `max(${x}, ${y})`,
  gradient: chosen('ge'),
});
export const min = binary('min', {
  doc: 'The smaller of x and y; at a tie the gradient goes to x.',
  f: Math.min,
  wgsl: (x, y) => `min(${x}, ${y})`,
  gradient: chosen('le'),
});
