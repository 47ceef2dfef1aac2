/**
 * How far beyond the usual tolerance a kernel may be off. Its values are float32: where the last bits of what it reads decide, as
 * in the variance of numbers far from zero, no kernel can know better. What is lost on the way is the kernel's own: an order of
 * evaluation that loses the answer is wrong, however exactly it is followed.
 */
import { fillUniform, keyOf } from '../../runtime/random.ts';
import type { Values } from '../../runtime/transfer.ts';

/** How much worse than one evaluation in float32, or than one move of the inputs, a right kernel may be. */
const FACTOR = 4;
/** What rounding on the way may cost a kernel: what a whole forward pass may be off (docs/numbers.md). */
const ON_THE_WAY = 1e-4;
/** A result of less than two digits is lost, whatever the reason. */
const LOST = 1e-2;
/** Half of the distance between float32 numbers, at most, relative to them. */
const ROUNDING = 2 ** -24;

/** From the errors of the same computation with every op rounded to float32, and with what it reads moved within its rounding. */
export const slack = (f32Error: number, movedError: number): number =>
  Math.min(FACTOR * f32Error, Math.max(ON_THE_WAY, FACTOR * movedError), LOST) || 0;

/** What a kernel reads, each number moved by what rounding may have moved it. Whole numbers are exact. */
export function withinRounding(
  inputs: Readonly<Record<string, Values>>,
  seed: number,
): Record<string, ArrayLike<number>> {
  return Object.fromEntries(
    Object.entries(inputs).map(([name, values]) => [
      name,
      values instanceof Float32Array ? moved(values, keyOf(seed, name)) : values,
    ]),
  );
}

function moved(values: Float32Array, key: ReturnType<typeof keyOf>): Float64Array {
  const shares = new Float32Array(values.length);
  fillUniform(shares, key, 0, ROUNDING);
  return Float64Array.from(values, (x, i) => (Number.isFinite(x) ? x * (1 + shares[i]) : x));
}
