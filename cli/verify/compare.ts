/** How far a kernel's result is from the reference, and where most. */
import { isFloat, type DType, type Shape } from '../../compiler/ir/index.ts';

export interface Difference {
  /** ‖got − want‖ / ‖want‖ (absolute where want is all zero). Infinite where one is ±∞ or NaN and the other is not. */
  readonly error: number;
  /** The element that is furthest off; none when all are equal. */
  readonly worst?: { readonly index: readonly number[]; readonly got: number; readonly want: number };
}

/** Largest error of a kernel in that dtype (docs/numbers.md). Whole numbers are exact. */
export const TOLERANCE: Readonly<Record<DType, number>> = { f32: 1e-5, f16: 5e-3, i32: 0, u32: 0, bool: 0 };

/** The tolerance of a result whose computation goes through values of these dtypes. */
export const toleranceOf = (result: DType, through: readonly DType[]): number =>
  isFloat(result) ? Math.max(...[result, ...through].map((dtype) => TOLERANCE[dtype])) : TOLERANCE[result];

/** `want` is float64: beyond float32's range it counts as ±∞, which is what a right kernel gives. */
export function compare(got: ArrayLike<number>, want: ArrayLike<number>, shape: Shape): Difference {
  let [difference, norm, furthest, at] = [0, 0, 0, -1];
  for (let i = 0; i < want.length; i++) {
    const distance = distanceOf(got[i], want[i]);
    difference += distance ** 2;
    if (Number.isFinite(Math.fround(want[i]))) norm += want[i] ** 2;
    if (distance > furthest) [furthest, at] = [distance, i];
  }
  if (at < 0) return { error: 0 };
  const worst = { index: indexOf(at, shape), got: got[at], want: want[at] };
  return { error: furthest === Infinity ? Infinity : Math.sqrt(difference) / (Math.sqrt(norm) || 1), worst };
}

function distanceOf(got: number, want: number): number {
  if (Number.isNaN(want)) return Number.isNaN(got) ? 0 : Infinity;
  if (Number.isFinite(Math.fround(want))) return Number.isFinite(got) ? Math.abs(got - want) : Infinity;
  return got === Math.fround(want) ? 0 : Infinity;
}

/** The multi-index of an element in row-major order. */
function indexOf(flat: number, shape: Shape): number[] {
  const index = new Array<number>(shape.length);
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    index[axis] = flat % shape[axis];
    flat = Math.floor(flat / shape[axis]);
  }
  return index;
}
