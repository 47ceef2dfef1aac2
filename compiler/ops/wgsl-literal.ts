/** Numbers as WGSL writes them. */
import type { DType } from '../ir/index.ts';

const MAX_F32 = 3.4028234663852886e38;

/**
 * WGSL has no literals for them, and refuses expressions of constants that give them; what a variable holds it does not look at.
 * Each of these functions is written where it is called.
 */
export const SPECIAL_NUMBERS = /* wgsl */ `
var<private> infinity_bits = 0x7f800000u;
fn infinity() -> f32 {
  return bitcast<f32>(infinity_bits);
}
var<private> not_a_number_bits = 0x7fc00000u;
fn not_a_number() -> f32 {
  return bitcast<f32>(not_a_number_bits);
}
`;

/** A number of a type, rounded to it. */
export function literal(value: number | boolean, type: DType): string {
  if (typeof value === 'boolean') return String(value);
  if (type === 'u32') return `${value}u`;
  if (type === 'i32') return value < 0 ? `i32(${value})` : `${value}i`;
  const target = Math.fround(value);
  if (Number.isNaN(target)) return 'not_a_number()';
  if (!Number.isFinite(target)) return target > 0 ? 'infinity()' : '-infinity()';
  for (let digits = 1; digits < 17; digits++) {
    const text = value.toPrecision(digits);
    // WGSL rejects a literal above the largest float even where rounding would bring it back.
    if (Math.fround(Number(text)) === target && Math.abs(Number(text)) <= MAX_F32)
      return withPoint(Object.is(target, -0) ? '-0' : String(Number(text)));
  }
  return withPoint(String(target));
}

const withPoint = (text: string): string => (/[.e]/.test(text) ? text.replace('e+', 'e') : `${text}.0`);
