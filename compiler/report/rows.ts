/**
 * Boxes in rows, each below all that it reads (Sugiyama's method): rows by the longest path, few crossings by barycentres,
 * places by least squares. A value read several rows below goes down one trunk, from which its readers branch off. The arrows
 * must not form a ring. Same input, same picture, on every machine.
 */
import type { Cell } from './cell.ts';
import { orderRows } from './row-order.ts';
import { placeRows } from './row-places.ts';

export interface RowBox {
  readonly id: string;
  readonly width: number;
  readonly height: number;
  /** On the border of the picture, where an arrow comes in or goes out, rather than where its readers want it. */
  readonly border?: 'top' | 'bottom';
}

export interface Arrow {
  readonly from: string;
  readonly to: string;
  /** Arrows of one trunk leave a box together. */
  readonly trunk: string;
  /** Where on the box it starts and ends, from its left; where it is straightest unless told. */
  readonly fromX?: number;
  readonly toX?: number;
}

export type Point = readonly [x: number, y: number];

export interface Rows {
  readonly width: number;
  readonly height: number;
  /** Left and top of each box. */
  readonly corners: ReadonlyMap<string, Point>;
  /** Points of each arrow, in the order given. */
  readonly lines: readonly (readonly Point[])[];
}

const ROW_GAP = 26;
/** Arrows keep off the corners of a box. */
const CORNER = 10;

export function layRows(boxes: readonly RowBox[], arrows: readonly Arrow[], margin: number): Rows {
  const ranks = rankBoxes(boxes, arrows);
  const cells = new Map(boxes.map((box): [string, Cell] => [box.id, cellOf(ranks.get(box.id)!, box)]));
  const trunks = layTrunks(cells, arrows);
  const rows: Cell[][] = Array.from({ length: Math.max(0, ...ranks.values()) + 1 }, () => []);
  for (const cell of [...cells.values(), ...[...trunks.values()].flat()]) rows[cell.row].push(cell);
  orderRows(rows);
  const width = placeRows(rows, margin);
  const has = (border: RowBox['border']) => boxes.some((box) => box.border === border);
  const tops = [has('top') ? 0 : margin];
  const heights = rows.map((row) => Math.max(0, ...row.map(({ height }) => height)));
  heights.forEach((height, i) => tops.push(tops[i] + height + ROW_GAP));
  const height = tops[rows.length] - ROW_GAP + (has('bottom') ? 0 : margin);
  const topOf = (cell: Cell): number => Math.round(tops[cell.row] + (heights[cell.row] - cell.height) / 2);
  const corners = new Map([...cells].map(([id, cell]): [string, Point] => [id, [leftOf(cell), topOf(cell)]]));
  const through = ({ x, row }: Cell): Point[] =>
    [tops[row], tops[row] + heights[row]].map((y): Point => [Math.round(x), y]);
  const lines = arrows.map(({ from, to, trunk, fromX, toX }) => {
    const [start, end] = [cells.get(from)!, cells.get(to)!];
    const passed = trunks.get(trunkKey(from, trunk))!.slice(0, end.row - start.row - 1);
    const first = touch(start, passed[0] ?? end, fromX);
    const last = touch(end, passed.at(-1) ?? { x: first }, toX);
    return straightened([[first, topOf(start) + start.height], ...passed.flatMap(through), [last, topOf(end)]]);
  });
  return { width, height, corners, lines };
}

const leftOf = (cell: Cell): number => Math.round(cell.x - cell.width / 2);

/** Where an arrow touches a box: at the place told, else as near to where it comes from as its corners allow. */
function touch(cell: Cell, toward: Pick<Cell, 'x'>, told?: number): number {
  const left = leftOf(cell);
  if (told !== undefined) return left + told;
  const inset = Math.min(CORNER, cell.width / 2);
  return Math.round(Math.max(left + inset, Math.min(left + cell.width - inset, toward.x)));
}

const cellOf = (row: number, { width, height }: Pick<RowBox, 'width' | 'height'>, isTrunk = false): Cell => {
  return { row, width, height, isTrunk, above: [], below: [], at: 0, x: 0 };
};

/** The row of each box: below all that it reads; what reads nothing right above its first reader. */
function rankBoxes(boxes: readonly RowBox[], arrows: readonly Arrow[]): Map<string, number> {
  const inputs = new Map<string, string[]>(boxes.map(({ id }) => [id, []]));
  const readers = new Map<string, string[]>(boxes.map(({ id }) => [id, []]));
  for (const { from, to } of arrows) {
    inputs.get(to)!.push(from);
    readers.get(from)!.push(to);
  }
  const border = new Map(boxes.map((box) => [box.id, box.border]));
  const first = boxes.some((box) => box.border === 'top') ? 1 : 0;
  const ranks = new Map<string, number>();
  const rank = (id: string): number => {
    const known = ranks.get(id);
    if (known !== undefined) return known;
    const least = border.get(id) === 'top' ? 0 : first;
    const value = inputs.get(id)!.reduce((most, input) => Math.max(most, rank(input) + 1), least);
    ranks.set(id, value);
    return value;
  };
  boxes.forEach(({ id }) => rank(id));
  for (const { id, border } of boxes) {
    const read = readers.get(id)!;
    if (border || inputs.get(id)!.length || !read.length) continue;
    ranks.set(id, Math.min(...read.map((reader) => ranks.get(reader)!)) - 1);
  }
  const last = Math.max(0, ...boxes.map((box) => (box.border === 'bottom' ? 0 : ranks.get(box.id)!)));
  for (const { id, border } of boxes) if (border === 'bottom') ranks.set(id, last + 1);
  return ranks;
}

const trunkKey = (from: string, trunk: string): string => `${from}\n${trunk}`;

/** Where trunks pass through rows, by the box and the trunk. Cells of neighbouring rows get to know each other. */
function layTrunks(cells: ReadonlyMap<string, Cell>, arrows: readonly Arrow[]): Map<string, Cell[]> {
  const trunks = new Map<string, Cell[]>();
  const join = (above: Cell, below: Cell) => {
    if (above.below.includes(below)) return;
    above.below.push(below);
    below.above.push(above);
  };
  for (const { from, to, trunk } of arrows) {
    const key = trunkKey(from, trunk);
    const [start, end] = [cells.get(from)!, cells.get(to)!];
    const passed = trunks.get(key) ?? [];
    trunks.set(key, passed);
    while (start.row + passed.length + 1 < end.row) {
      const next = cellOf(start.row + passed.length + 1, { width: 0, height: 0 }, true);
      join(passed.at(-1) ?? start, next);
      passed.push(next);
    }
    join(passed[end.row - start.row - 2] ?? start, end);
  }
  return trunks;
}

/** Without the points that lie on a straight way down. */
export const straightened = (points: readonly Point[]): Point[] =>
  points.filter(([x], i) => i === 0 || i === points.length - 1 || points[i - 1][0] !== x || points[i + 1][0] !== x);
