/** Facts about values that messages tell: where one is, which are not finite, which are out of their range. */
import type { InputSpec } from '../compiler/emit/artefact.ts';
import { RuntimeError } from './error.ts';

type Numbers = ArrayLike<number>;

/** What a value is, in words: `a string`, `Float64Array`, `null`. */
export function kindOf(given: unknown): string {
  if (given === null || given === undefined) return String(given);
  return typeof given === 'object' ? (given.constructor?.name ?? 'an object') : `a ${typeof given}`;
}

/** A number as it is written, another value as what it is. */
export const shown = (value: unknown): string => (typeof value === 'number' ? String(value) : kindOf(value));

/** The place of a row-major element, as `element [0, 2, 5]`. */
export function placeIn(shape: readonly number[], index: number): string {
  const place: number[] = [];
  let rest = index;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    place.unshift(rest % shape[axis]);
    rest = Math.floor(rest / shape[axis]);
  }
  return `element [${place.join(', ')}]`;
}

/** Whether no value is infinite or NaN. */
export function allFinite(values: Numbers): boolean {
  // 0·x is 0 unless x is infinite or NaN, which the sum keeps: several times faster than asking each.
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += 0 * values[i];
  return sum === 0;
}

/** Infinite or NaN values: how many, and the first. */
export interface NonFinite {
  count: number;
  first: number;
  value: number;
}

/** The values that are infinite or NaN, if any. Their numbers begin at `from`. */
export function findNonFinite(values: Numbers, from = 0): NonFinite | undefined {
  if (allFinite(values)) return undefined;
  let found: NonFinite | undefined;
  for (let i = 0; i < values.length; i++) {
    if (Number.isFinite(values[i])) continue;
    found ??= { count: 0, first: from + i, value: values[i] };
    found.count++;
  }
  return found;
}

/** `3 of 128 values are not finite; the first, element [0, 4], is NaN` */
export function describeNonFinite(shape: readonly number[], { count, first, value }: NonFinite): string {
  const total = shape.reduce((a, b) => a * b, 1);
  const are = count === 1 ? 'value is' : 'values are';
  return `${count} of ${total} ${are} not finite; the first, ${placeIn(shape, first)}, is ${value}`;
}

/**
 * What is wrong with the values of an input, unless all are in the range that the entry reads them in: an index beyond its
 * table would read another row, and a label past the classes is none that the model learnt.
 */
export function outOfRange(
  { name, shape, range, classes }: InputSpec,
  values: Numbers,
  where?: string,
): RuntimeError | undefined {
  if (!range) return undefined;
  const [least, end] = range;
  for (let i = 0; i < values.length; i++) {
    if (values[i] >= least && values[i] < end) continue;
    const what = `${placeIn(shape, i)} of ${name} is ${values[i]}`;
    const known = `${least} to ${end - 1}`;
    const [why, fix] = classes
      ? [`it is the label of a class: the model has ${classes}`, `give ${known}`]
      : [`it chooses a row of a table: ${known} are there`, `give ${known}${masked(least, end - 1)}`];
    return new RuntimeError({ code: 'out-of-range', where, what, why, fix });
  }
  return undefined;
}

/** What the compiler cannot know: that a mask of the model's lets no such index through. */
const masked = (least: number, most: number): string =>
  `; where a mask of the model passes over others, have it clamp them: index.clamp(${least}, ${most})`;

/** Throws what {@link outOfRange} finds. */
export function checkRange(spec: InputSpec, values: Numbers, where?: string): void {
  const fault = outOfRange(spec, values, where);
  if (fault) throw fault;
}
