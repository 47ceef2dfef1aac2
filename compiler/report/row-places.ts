/**
 * Places of cells along their rows: each as near as it can be to its neighbours' mean, in the given order and without overlap.
 * For one row this is least squares under order, which pooling solves exactly; rows are gone through down and up in turns.
 */
import type { Cell } from './cell.ts';

const SWEEPS = 12;
const BOX_GAP = 18;
const LINE_GAP = 10;
/** How much a line wants to be straight: between two boxes, at one end of a trunk, within a trunk. */
const PULL = [1, 2, 8];
/** A cell without neighbours on a side stays where it is, if nothing pushes. */
const REST = 0.1;

const gap = (a: Cell, b: Cell): number => (a.width + b.width) / 2 + (a.isTrunk || b.isTrunk ? LINE_GAP : BOX_GAP);

/** Sets every cell's `x` and returns the width of it all. */
export function placeRows(rows: readonly (readonly Cell[])[], margin: number): number {
  for (const row of rows) row.forEach((cell, i) => (cell.x = i ? row[i - 1].x + gap(row[i - 1], cell) : 0));
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    const down = sweep % 2 === 0;
    const sides = sweep < SWEEPS - 2 ? [down ? 'above' : 'below'] : ['above', 'below'];
    for (const row of down ? rows : [...rows].reverse()) placeRow(row, sides as ('above' | 'below')[]);
  }
  const cells = rows.flat();
  if (!cells.length) return 2 * margin;
  const left = cells.reduce((least, { x, width }) => Math.min(least, x - width / 2), Infinity);
  const right = cells.reduce((most, { x, width }) => Math.max(most, x + width / 2), -Infinity);
  for (const cell of cells) cell.x += margin - left;
  return Math.ceil(right - left + 2 * margin);
}

interface Pool {
  /** Weighted sum of wishes, each less its cell's least distance from the first cell. */
  sum: number;
  weight: number;
  count: number;
}

function placeRow(row: readonly Cell[], sides: readonly ('above' | 'below')[]): void {
  const offsets: number[] = [];
  row.forEach((cell, i) => offsets.push(i ? offsets[i - 1] + gap(row[i - 1], cell) : 0));
  const pools: Pool[] = [];
  row.forEach((cell, i) => {
    let [sum, weight] = [0, 0];
    for (const near of sides.flatMap((side) => cell[side])) {
      const pull = PULL[Number(cell.isTrunk) + Number(near.isTrunk)];
      sum += pull * near.x;
      weight += pull;
    }
    if (!weight) [sum, weight] = [REST * cell.x, REST];
    let pool: Pool = { sum: sum - weight * offsets[i], weight, count: 1 };
    for (let last = pools.at(-1); last && last.sum / last.weight > pool.sum / pool.weight; last = pools.at(-1)) {
      pool = { sum: last.sum + pool.sum, weight: last.weight + pool.weight, count: last.count + pool.count };
      pools.pop();
    }
    pools.push(pool);
  });
  let i = 0;
  for (const { sum, weight, count } of pools) for (let n = 0; n < count; n++, i++) row[i].x = sum / weight + offsets[i];
}
