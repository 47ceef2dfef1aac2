/** Rotary positions: Su et al. 2021, RoFormer. */
import { formatShape } from '../ir/index.ts';
import { argument, finite, optional, options, takes, tensor, whole, wholes } from './arguments.ts';
import { constant } from './constants.ts';
import { cos, sin, stack } from './functions.ts';
import { flip } from './indexing.ts';
import { misuse, type Tensor } from './tensor.ts';

export interface RotaryOptions {
  /** What is turned together: elements i and i + d/2 (`halves`, as in LLaMA; unless told), or 2i and 2i + 1 (`neighbours`, as in RoFormer). */
  pairs?: 'halves' | 'neighbours';
}

const PAIRS = argument('pairs', 'halves or neighbours', (value) => value === 'halves' || value === 'neighbours');

/** Turns the pairs of each row of x […, T, d] by angles that broadcast to […, T, d/2]: queries and keys, before they meet. */
export const rotary = takes(
  'rotary',
  [tensor('x'), tensor('angles'), options('options', [PAIRS])],
  (x: Tensor, angles: Tensor, { pairs = 'halves' }: RotaryOptions = {}) => {
    const d = x.shape[x.rank - 1];
    if (!x.rank || d % 2 || angles.shape.at(-1) !== d / 2) {
      const why = `x is ${formatShape(x.shape)}, angles ${formatShape(angles.shape)}`;
      throw misuse('rotary: there is not an angle for each two elements', why, 'give angles half as wide as x');
    }
    // (a, b) becomes (a·cos − b·sin, b·cos + a·sin): the pair times cos, and its other element times ∓sin.
    const axis = pairs === 'halves' ? -2 : -1;
    const [c, s] = [cos(angles), sin(angles)];
    const [same, other] = [stack([c, c], axis), stack([s.neg(), s], axis)];
    const pair = x.reshape(...x.shape.slice(0, -1), ...(pairs === 'halves' ? [2, d / 2] : [d / 2, 2]));
    return pair
      .mul(same)
      .add(flip(pair, axis).mul(other))
      .reshape(...x.shape);
  },
);

/**
 * Angles of rotary positions on a grid, for heads of width d, [T, d/2] with the last axis of the grid fastest: `[T]` for a text,
 * `[rows, columns]` for a picture, of which the first half of the pairs turns by the row, the other by the column. Position p turns pair k
 * of K by p·base^(−k/K); base is 10000 unless told.
 */
export const rotaryAngles = takes(
  'rotaryAngles',
  [wholes('grid', 1), whole('d', 2), optional(finite('base', 1))],
  (grid: readonly number[], d: number, base = 10000) => {
    const each = d / 2 / grid.length;
    if (!grid.length || !Number.isInteger(each)) {
      const fix = `use a multiple of ${2 * Math.max(grid.length, 1)}`;
      throw misuse(
        'rotaryAngles: the axes of the grid share no heads',
        `d is ${d}, the grid ${formatShape(grid)}`,
        fix,
      );
    }
    const T = grid.reduce((n, size) => n * size, 1);
    const angles = new Float64Array((T * d) / 2);
    for (let token = 0; token < T; token++) {
      let rest = token;
      for (let axis = grid.length - 1; axis >= 0; axis--) {
        const position = rest % grid[axis];
        rest = Math.floor(rest / grid[axis]);
        for (let k = 0; k < each; k++) angles[(token * d) / 2 + axis * each + k] = position * base ** (-k / each);
      }
    }
    return constant(angles, [T, d / 2]);
  },
);
