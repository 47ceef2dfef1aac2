/** Element by element: arithmetic, comparisons, choices. */
import { abs, cos, erf, floor, isFinite, isNaN, sin, where, type Tensor } from '../../../compiler/dsl/index.ts';
import type { Call, Op, Ops } from '../call.ts';

const unary =
  (of: (x: Tensor) => Tensor): Op =>
  (call) =>
    of(call.tensor());
const binary =
  (of: (x: Tensor, y: Tensor) => Tensor): Op =>
  (call) =>
    of(call.tensor(0), call.tensor(1));
/** Of any number of operands. */
const all =
  (of: (x: Tensor, y: Tensor) => Tensor): Op =>
  (call) =>
    call.tensors().reduce(of);

const isWhole = (x: Tensor): boolean => x.dtype === 'i32' || x.dtype === 'u32';

/** To the nearest, from a half to the even one. */
function round(x: Tensor): Tensor {
  const up = floor(x.add(0.5));
  const isHalf = up.sub(x).eq(0.5);
  const isOdd = up.mul(0.5).ne(floor(up.mul(0.5)));
  return where(isHalf.and(isOdd), up.sub(1), up);
}

const sign = (x: Tensor): Tensor => where(x.gt(0), 1, where(x.lt(0), -1, 0)).cast(x.dtype);

/** xʸ: y may be of whole numbers where x is of floats. */
function power(call: Call): Tensor {
  const [x, exponent] = [call.tensor(0), call.value(1)];
  const known = exponent.folds && exponent.shape.length === 0 ? call.number(1, 'exponent') : undefined;
  if (isWhole(x) && !(Number.isInteger(known) && known! >= 0)) {
    // A power of floats is not exact.
    return floor(
      x
        .cast('f32')
        .pow(known ?? exponent.tensor().cast('f32'))
        .add(0.5),
    ).cast(x.dtype);
  }
  return x.pow(known ?? exponent.tensor().cast(x.dtype));
}

/** What is left of a division: of the divisor's sign, or with `fmod` of the dividend's. */
function remainder(call: Call): Tensor {
  const [x, y] = [call.tensor(0), call.tensor(1)];
  if (isWhole(x)) {
    const left = x.sub(x.div(y).mul(y));
    if (call.int('fmod', 0)) return left;
    const isOther = left
      .lt(0)
      .and(y.gt(0))
      .or(left.gt(0).and(y.lt(0)));
    return where(isOther, left.add(y), left);
  }
  const quotient = x.div(y);
  const cut = call.int('fmod', 0)
    ? where(quotient.lt(0), floor(quotient.neg()).neg(), floor(quotient))
    : floor(quotient);
  // 0·∞ is no number.
  return x.sub(where(cut.eq(0), 0, cut.mul(y)));
}

function infinite(call: Call): Tensor {
  const x = call.tensor();
  const [above, below] = ['detect_positive', 'detect_negative'].map((name) => call.int(name, 1) !== 0);
  const either = isFinite(x).not().and(isNaN(x).not());
  if (above && below) return either;
  return either.and(above ? x.gt(0) : below ? x.lt(0) : isNaN(x));
}

function choose(call: Call): Tensor {
  const [x, y] = [call.tensor(1), call.tensor(2)];
  return where(asBool(call.tensor(0)), x, y);
}

const asBool = (x: Tensor): Tensor => (x.dtype === 'bool' ? x : x.ne(0));

/** Comparisons of bools are of 0 and 1. */
const compared = (of: (x: Tensor, y: Tensor) => Tensor): Op =>
  binary((x, y) => {
    const asNumber = (z: Tensor) => (z.dtype === 'bool' ? z.cast('i32') : z);
    return of(asNumber(x), asNumber(y));
  });

const roundTo = (of: (x: Tensor) => Tensor) => unary((x) => (isWhole(x) ? x : of(x)));

export const elementwise: Ops = {
  Add: binary((x, y) => x.add(y)),
  Sub: binary((x, y) => x.sub(y)),
  Mul: binary((x, y) => x.mul(y)),
  Div: binary((x, y) => x.div(y)),
  Pow: power,
  Mod: remainder,
  Sum: all((x, y) => x.add(y)),
  Mean: (call) =>
    call
      .tensors()
      .reduce((x, y) => x.add(y))
      .div(call.count),
  Max: all((x, y) => x.maximum(y)),
  Min: all((x, y) => x.minimum(y)),
  Neg: unary((x) => x.neg()),
  Abs: unary((x) => (isWhole(x) ? x.maximum(x.neg()) : abs(x))),
  Sign: unary(sign),
  Sqrt: unary((x) => x.sqrt()),
  Exp: unary((x) => x.exp()),
  Log: unary((x) => x.log()),
  Reciprocal: unary((x) => x.pow(-1)),
  Floor: roundTo(floor),
  Ceil: roundTo((x) => floor(x.neg()).neg()),
  Round: roundTo(round),
  Sin: unary(sin),
  Cos: unary(cos),
  Tan: unary((x) => sin(x).div(cos(x))),
  Sinh: unary((x) => x.exp().sub(x.neg().exp()).mul(0.5)),
  Cosh: unary((x) => x.exp().add(x.neg().exp()).mul(0.5)),
  Erf: unary(erf),
  IsNaN: unary(isNaN),
  IsInf: infinite,
  Equal: compared((x, y) => x.eq(y)),
  Greater: compared((x, y) => x.gt(y)),
  GreaterOrEqual: compared((x, y) => x.ge(y)),
  Less: compared((x, y) => x.lt(y)),
  LessOrEqual: compared((x, y) => x.le(y)),
  And: binary((x, y) => x.and(y)),
  Or: binary((x, y) => x.or(y)),
  Xor: compared((x, y) => x.ne(y)),
  Not: unary((x) => x.not()),
  Where: choose,
};
