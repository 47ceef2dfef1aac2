/** Comparisons, logic and bits. */
import type { DType } from '../ir/index.ts';
import { defineOp, elementwise, expectArity, expectFloat, perElement, shapeError, type CodeContext } from './define.ts';
import { binary, infix } from './define-binary.ts';
import { IS_NAN } from './wgsl-helpers.ts';

const notBool = (dtype: DType) => dtype !== 'bool';

/** Nothing compares with NaN, which differs from everything. */
const comparison = (
  name: string,
  doc: string,
  wgsl: (x: string, y: string, context: CodeContext) => string,
  f: (x: number, y: number) => boolean,
) =>
  binary(name, {
    doc,
    f: (x, y) => Number(f(x, y)),
    wgsl,
    gradient: 'none',
    result: 'bool',
    accepts: notBool,
    sampled: 'i32',
    ranges: [
      [-3, 4],
      [-3, 4],
    ],
  });
export const eq = comparison('eq', 'x = y', infix('=='), (x, y) => x === y);
export const ne = comparison(
  'ne',
  'x ≠ y',
  // Drivers are told that NaN != NaN need not hold; they do keep that NaN == NaN does not.
  (x, y, { inputs: [dtype] }) => (dtype === 'f32' ? `!(${x} == ${y})` : `(${x} != ${y})`),
  (x, y) => x !== y,
);
export const lt = comparison('lt', 'x < y', infix('<'), (x, y) => x < y);
export const le = comparison('le', 'x ≤ y', infix('<='), (x, y) => x <= y);
export const gt = comparison('gt', 'x > y', infix('>'), (x, y) => x > y);
export const ge = comparison('ge', 'x ≥ y', infix('>='), (x, y) => x >= y);

const logical = (name: string, doc: string, symbol: string, f: (x: boolean, y: boolean) => boolean) =>
  binary(name, {
    doc,
    f: (x, y) => Number(f(x !== 0, y !== 0)),
    wgsl: infix(symbol),
    gradient: 'none',
    accepts: (dtype) => dtype === 'bool',
    sampled: 'bool',
  });
export const and = logical('and', 'Both.', '&&', (x, y) => x && y);
export const or = logical('or', 'Either.', '||', (x, y) => x || y);

export const not = defineOp({
  name: 'not',
  doc: 'x does not hold.',
  kind: 'pointwise',
  type: (inputs) => {
    expectArity('not', inputs, 1);
    if (inputs[0].dtype !== 'bool')
      throw shapeError('not', `does not take ${inputs[0].dtype}`, 'it takes bool', 'compare it with something');
    return inputs[0];
  },
  reference: elementwise((x) => Number(!x)),
  gradient: 'none',
  cost: perElement(1),
  sample: (random) => ({ inputs: [{ dtype: 'bool', shape: random.shape(0, 4) }], attrs: {} }),
  wgsl: { expression: ([x]) => `!${x}` },
});

export const isFinite = defineOp({
  name: 'is_finite',
  doc: 'x is a number, neither infinite nor NaN.',
  kind: 'pointwise',
  type: (inputs) => {
    expectArity('is_finite', inputs, 1);
    expectFloat('is_finite', ...inputs);
    return { dtype: 'bool', shape: inputs[0].shape };
  },
  reference: elementwise((x) => Number(Number.isFinite(x))),
  gradient: 'none',
  cost: perElement(2),
  sample: (random) => ({ inputs: [{ dtype: 'f32', shape: random.shape(0, 4) }], attrs: {} }),
  // By its bits: WGSL lets compilers assume that no float is infinite or NaN, and drop comparisons that tell.
  wgsl: { expression: ([x]) => `((bitcast<u32>(${x}) & 0x7f800000u) != 0x7f800000u)` },
});

export const isNaN = defineOp({
  name: 'is_nan',
  doc: 'x is NaN.',
  kind: 'pointwise',
  type: (inputs) => {
    expectArity('is_nan', inputs, 1);
    expectFloat('is_nan', ...inputs);
    return { dtype: 'bool', shape: inputs[0].shape };
  },
  reference: elementwise((x) => Number(Number.isNaN(x))),
  gradient: 'none',
  cost: perElement(2),
  sample: (random) => ({ inputs: [{ dtype: 'f32', shape: random.shape(0, 4) }], attrs: {} }),
  wgsl: { expression: ([x]) => `is_nan(${x})`, helper: IS_NAN },
});

const bitwise = (name: string, doc: string, symbol: string, f: (x: number, y: number) => number) =>
  binary(name, {
    doc,
    f,
    wgsl: infix(symbol),
    gradient: 'none',
    accepts: (dtype) => dtype === 'u32',
    sampled: 'u32',
    ranges: [
      [0, 2 ** 32],
      [0, symbol === '<<' || symbol === '>>' ? 32 : 2 ** 32],
    ],
  });
export const bitXor = bitwise('bit_xor', 'Bitwise exclusive or of u32.', '^', (x, y) => x ^ y);
export const bitAnd = bitwise('bit_and', 'Bitwise and of u32.', '&', (x, y) => x & y);
export const shiftLeft = bitwise('shift_left', 'x·2ʸ modulo 2³², y < 32.', '<<', (x, y) => x << y);
export const shiftRight = bitwise('shift_right', '⌊x/2ʸ⌋ of u32, y < 32.', '>>', (x, y) => x >>> y);
