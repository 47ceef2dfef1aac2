/** The order of cells within rows: each row is sorted by where its neighbours lie, down and up in turns; the order with fewest crossings stays. */
import type { Cell } from './cell.ts';

const SWEEPS = 16;
/** Sweeps without a better order before it is given up. */
const PATIENCE = 4;

export function orderRows(rows: Cell[][]): void {
  const number = () => rows.forEach((row) => row.forEach((cell, i) => (cell.at = i)));
  number();
  let best = rows.map((row) => [...row]);
  let least = crossings(rows);
  for (let sweep = 0, vain = 0; sweep < SWEEPS && vain < PATIENCE && least > 0; sweep++) {
    const down = sweep % 2 === 0;
    for (const row of down ? rows : [...rows].reverse()) sortRow(row, down ? 'above' : 'below');
    const now = crossings(rows);
    vain = now < least ? 0 : vain + 1;
    if (now >= least) continue;
    least = now;
    best = rows.map((row) => [...row]);
  }
  best.forEach((row, i) => (rows[i] = row));
  number();
}

/** By the mean place of the neighbours on one side; cells without any keep their place among the others. */
function sortRow(row: Cell[], side: 'above' | 'below'): void {
  const keys = new Map(
    row.map((cell) => {
      const near = cell[side];
      return [cell, near.length ? near.reduce((sum, { at }) => sum + at, 0) / near.length : undefined];
    }),
  );
  const sorted = row.filter((cell) => keys.get(cell) !== undefined).sort((a, b) => keys.get(a)! - keys.get(b)!);
  row.forEach((cell, i) => {
    if (keys.get(cell) === undefined) sorted.splice(Math.min(i, sorted.length), 0, cell);
  });
  sorted.forEach((cell, i) => {
    row[i] = cell;
    cell.at = i;
  });
}

/** How often lines between neighbouring rows cross. */
function crossings(rows: readonly (readonly Cell[])[]): number {
  let count = 0;
  rows.forEach((row, i) => {
    const below = rows[i + 1]?.length ?? 0;
    const seen = new Int32Array(below + 1);
    let ends = 0;
    for (const cell of row) {
      const targets = cell.below.map(({ at }) => at);
      // Of the lines that start further left, those that end further right.
      for (const at of targets) count += ends - prefix(seen, at + 1);
      for (const at of targets) for (let k = at + 1; k <= below; k += k & -k) seen[k]++;
      ends += targets.length;
    }
  });
  return count;
}

/** Sum of the first `n` counts of a Fenwick tree. */
function prefix(tree: Int32Array, n: number): number {
  let sum = 0;
  for (let k = n; k > 0; k -= k & -k) sum += tree[k];
  return sum;
}
