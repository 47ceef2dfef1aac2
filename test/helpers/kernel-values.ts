/** Values of kernel IR as they are run in this process: a number for each invocation, vectors as parts, fragments by subgroup. */
import type { BinaryOp, Expr } from '../../compiler/kernel/ir.ts';
import { shapeOf, type ValueType } from '../../compiler/kernel/types.ts';

/** Of one expression: a number for each invocation. */
export type Lanes = Float64Array;
/** Row-major, one for each subgroup. */
export interface Fragments {
  readonly rows: number;
  readonly columns: number;
  readonly data: readonly Float64Array[];
}
export type Value = Lanes | readonly Lanes[] | Fragments;

export const isLanes = (value: Value): value is Lanes => value instanceof Float64Array;
export const isFragments = (value: Value): value is Fragments => 'rows' in value;

/** The parts of a vector, or a number alone. */
export function partsOf(value: Value): readonly Lanes[] {
  if (isFragments(value)) throw new Error('a fragment has no elements');
  return isLanes(value) ? [value] : value;
}

export function numbersIn(value: Value): Lanes {
  if (!isLanes(value)) throw new Error('a number is wanted, not a vector');
  return value;
}

/** By parts where one of them is a vector. */
export function zip(a: Value, b: Value, f: (x: Lanes, y: Lanes) => Lanes): Value {
  if (isLanes(a) && isLanes(b)) return f(a, b);
  const [left, right] = [partsOf(a), partsOf(b)];
  const count = Math.max(left.length, right.length);
  if (![1, count].includes(left.length) || ![1, count].includes(right.length)) throw new Error('vectors of two sizes');
  const part = (parts: readonly Lanes[], i: number): Lanes => parts[parts.length === 1 ? 0 : i];
  return Array.from({ length: count }, (_, i) => f(part(left, i), part(right, i)));
}

/** A function of two numbers, for each invocation's. */
export const lanewise =
  (f: (x: number, y: number) => number) =>
  (x: Lanes, y: Lanes): Lanes => {
    const lanes = new Float64Array(x.length);
    for (let lane = 0; lane < lanes.length; lane++) lanes[lane] = f(x[lane], y[lane]);
    return lanes;
  };

/** An operator on each invocation's numbers; what is not float wraps around. */
export function operate({ op, type, a: { type: of } }: Extract<Expr, { kind: 'binary' }>, x: Lanes, y: Lanes): Lanes {
  if (type === 'f32' && op === '+') return added(x, y);
  if (type === 'f32' && op === '*') return multiplied(x, y);
  return lanewise(numbersBy(op, of, type))(x, y);
}

/** The operator on two numbers of a type, with the result of another. */
export function numbersBy(op: BinaryOp, of: ValueType, type = of): (x: number, y: number) => number {
  const isWhole = of === 'u32' || of === 'i32';
  const two = op === '*' && isWhole ? Math.imul : BINARY[op];
  if (type === 'u32') return (isWhole && UNSIGNED[op]) || ((x, y) => two(x, y) >>> 0);
  return type === 'i32' ? (x, y) => two(x, y) | 0 : two;
}

/** Where indices are computed, which is everywhere. */
const UNSIGNED: Partial<Record<BinaryOp, (x: number, y: number) => number>> = {
  '+': (x, y) => (x + y) >>> 0,
  '-': (x, y) => (x - y) >>> 0,
  '*': (x, y) => Math.imul(x, y) >>> 0,
  '/': (x, y) => (x / y) >>> 0,
  '%': (x, y) => (x % y) >>> 0,
};

export const BINARY: Record<BinaryOp, (x: number, y: number) => number> = {
  '+': (x, y) => x + y,
  '-': (x, y) => x - y,
  '*': (x, y) => x * y,
  '/': (x, y) => x / y,
  '%': (x, y) => x % y,
  '<': (x, y) => Number(x < y),
  '<=': (x, y) => Number(x <= y),
  '>': (x, y) => Number(x > y),
  '>=': (x, y) => Number(x >= y),
  '==': (x, y) => Number(x === y),
  '!=': (x, y) => Number(x !== y),
  '&&': (x, y) => Number(x && y),
  '||': (x, y) => Number(x || y),
};

/** left · right + sum, in each subgroup. */
export function multiplyAccumulate(left: Fragments, right: Fragments, sum: Fragments): Fragments {
  const { rows, columns: depth } = left;
  const { columns } = right;
  if (right.rows !== depth || sum.rows !== rows || sum.columns !== columns) {
    throw new Error(
      `fragments of ${rows}×${depth} and ${right.rows}×${columns} do not give ${sum.rows}×${sum.columns}`,
    );
  }
  const data = sum.data.map((start, group) =>
    start.map((x, at) => {
      const [i, j] = [Math.floor(at / columns), at % columns];
      let total = x;
      for (let k = 0; k < depth; k++) total += left.data[group][i * depth + k] * right.data[group][k * columns + j];
      return total;
    }),
  );
  return { rows, columns, data };
}

const HALF = { digits: 10, least: -14, most: 65504 };

/** The nearest number of 16 bits, ties to even. */
export function roundHalf(x: number): number {
  if (!Number.isFinite(x) || x === 0) return x;
  const exponent = Math.max(Math.floor(Math.log2(Math.abs(x))), HALF.least);
  const unit = 2 ** (exponent - HALF.digits);
  const [down, rest] = [Math.floor(x / unit), x / unit - Math.floor(x / unit)];
  const up = rest > 0.5 || (rest === 0.5 && down % 2 !== 0);
  const rounded = (down + Number(up)) * unit;
  return Math.abs(rounded) > HALF.most ? Math.sign(x) * Infinity : rounded;
}

// Most of what kernels do is this: without a call for each number it takes a fraction of the time.

export function multiplied(x: Lanes, y: Lanes): Lanes {
  const lanes = new Float64Array(x.length);
  for (let lane = 0; lane < lanes.length; lane++) lanes[lane] = x[lane] * y[lane];
  return lanes;
}

export function added(x: Lanes, y: Lanes): Lanes {
  const lanes = new Float64Array(x.length);
  for (let lane = 0; lane < lanes.length; lane++) lanes[lane] = x[lane] + y[lane];
  return lanes;
}

/** Numbers as another type; integers keep their bits. */
export function converted(value: Value, type: ValueType): Value {
  const { of } = shapeOf(type);
  const convert = (x: number): number => {
    if (of === 'u32') return Math.trunc(x) >>> 0;
    if (of === 'i32') return Math.trunc(x) | 0;
    if (of === 'bool') return Number(x !== 0);
    return of === 'f16' ? roundHalf(x) : x;
  };
  const parts = partsOf(value).map((part) => part.map(convert));
  return isLanes(value) ? parts[0] : parts;
}
