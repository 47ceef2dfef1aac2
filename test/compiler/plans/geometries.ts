/** Geometries of every family, right and wrong ones: what plans are given from outside in tests. */
import type { Plan } from '../../../compiler/plans/registry.ts';

/** All combinations of the values of each key. */
function* combinations(values: Readonly<Record<string, readonly unknown[]>>): Generator<Record<string, unknown>> {
  const [first, ...rest] = Object.entries(values);
  if (!first) return yield {};
  for (const value of first[1])
    for (const others of combinations(Object.fromEntries(rest))) yield { [first[0]]: value, ...others };
}

/** Of scores in registers. */
const BLOCKS = {
  down: [1, 2],
  across: [4],
  rows: [4],
  others: [2],
  depth: [4, 6],
  span: [4, 8, 16],
  subgroup: [0, 8],
  sized: [false],
};

/** Of scores on matrix units. */
const FRAGMENTS = {
  ...{ of: ['f32'], m: [8], n: [8], k: [8], lanes: [16, 32], sized: [false] },
  ...{ down: [1, 2], others: [2, 4] },
};

/** Of each family, values of each of its numbers. */
export const GEOMETRIES: Readonly<Record<string, Readonly<Record<string, readonly unknown[]>>>> = {
  map: { workgroup: [0, 48, 64, 1024], width: [1, 3, 4] },
  'map-turned': { axis: [0, 1, 2, -1], tall: [4, 6, 8], wide: [8, 32], workgroup: [0, 8, 48, 64] },
  row: {
    lanes: [1, 8, 12, 32],
    rowsPerWorkgroup: [1, 4],
    combine: ['serial', 'subgroup', 'workgroup'],
    rolled: [false],
  },
  'row-vectors': {
    lanes: [1, 32, 64],
    rowsPerWorkgroup: [1, 4, 6],
    subgroup: [0, 32],
    sized: [false, true],
    width: [1, 4],
  },
  scan: { workgroup: [0, 3, 48, 1024] },
  'product-simple': { workgroup: [0.5, 48] },
  'product-dot-subgroup': {
    subgroups: [1, 2],
    rows: [1, 3, 9],
    columns: [2, 4],
    width: [1, 4],
    lanes: [32],
    sized: [false, true],
  },
  'product-columns': { rows: [1, 3, 8], across: [4, 16], shares: [1, 3, 4] },
  'product-dot': { lanes: [24, 32, 64], share: [2, 8] },
  'product-subgroup': {
    lanes: [4, 8],
    rows: [1, 3, 6, 8, 12, 16],
    columns: [1, 3, 4],
    left: ['one', 'k4', 'm4'],
    right: ['one', 'k4', 'n4'],
  },
  'product-tiled': { side: [2, 4, 8, 16], perThread: [1, 3, 4, 8], depth: [5, 8, 16], rolled: [false] },
  'product-tiled-vec4': { down: [2, 4, 8], across: [4, 8], rows: [4, 6, 8], columns: [4, 8], depth: [4, 6, 8] },
  'product-fragments': {
    ...{ of: ['f32'], m: [8], n: [8], k: [8], lanes: [16, 32], sized: [false] },
    ...{ down: [1, 2], across: [1, 2], rows: [1, 2, 4], columns: [2, 4], depth: [12, 16] },
  },
  attention: { lanes: [6, 8, 64], rows: [4, 6, 12], keys: [8, 12, 64], columns: [1, 2], rolled: [false] },
  'attention-subgroup': { lanes: [4, 8], rows: [4, 8, 12, 16] },
  'attention-fragments': FRAGMENTS,
  'attention-gradient-fragments': FRAGMENTS,
  'attention-tiled': BLOCKS,
  'attention-gradient-tiled': BLOCKS,
  'attention-gradient-subgroup': { lanes: [4, 8], rows: [4, 8, 12, 16] },
  'attention-gradient': { lanes: [3, 64, 512], unrolled: [4, 6, 80], rolled: [false] },
};

/** All combinations of them. */
export const plans: readonly Plan[] = Object.entries(GEOMETRIES).flatMap(([family, values]) =>
  [...combinations(values)].map((geometry) => ({ family, ...geometry })),
);
