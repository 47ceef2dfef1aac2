import { describe, expect, it } from 'vitest';
import { compare, toleranceOf } from '../../../cli/verify/compare.ts';

describe('compare', () => {
  it('gives the relative error and the element furthest off', () => {
    const { error, worst } = compare([3, 4, 0, 1], [3, 4, 0, 0], [2, 2]);
    expect(error).toBeCloseTo(1 / 5, 12);
    expect(worst).toEqual({ index: [1, 1], got: 1, want: 0 });
    expect(compare([1], [1], [])).toEqual({ error: 0 });
  });

  it('is absolute where all should be zero', () => {
    expect(compare([0, 0.25], [0, 0], [2]).error).toBe(0.25);
  });

  it.each([
    [NaN, 1],
    [Infinity, 1],
    [Infinity, -Infinity],
    [NaN, Infinity],
    [0, NaN],
    [3e38, 1e39],
  ])('%d for %d is infinitely wrong', (got, want) => {
    const { error, worst } = compare([5, got], [5, want], [2]);
    expect(error).toBe(Infinity);
    expect(worst).toEqual({ index: [1], got, want });
  });

  it.each([
    [NaN, NaN],
    [-Infinity, -Infinity],
    // Beyond float32's range.
    [Infinity, 1e39],
  ])('%d for %d is right', (got, want) => {
    expect(compare([5, got], [5, want], [2])).toEqual({ error: 0 });
  });
});

it('whole numbers are exact, floats as exact as what they are computed through', () => {
  expect(toleranceOf('i32', ['f32'])).toBe(0);
  expect(toleranceOf('f32', ['i32', 'f32'])).toBe(1e-5);
  expect(toleranceOf('f32', ['f16'])).toBe(5e-3);
});
