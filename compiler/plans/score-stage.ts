/**
 * How rows of a matrix get to workgroup memory for fragments: as they lie, or turned, in runs of one vector or of two beside each other,
 * which drivers move at once.
 */
import type { Index } from '../kernel/index-map.ts';
import type { Expr } from '../kernel/ir.ts';
import { shapeOf } from '../kernel/types.ts';
import { asVector, range } from './common.ts';
import type { Operand } from './fragments.ts';
import { stage, type Staged } from './register-blocks.ts';
import { presentOr, rowFour, valueAt, type Matrices, type RowsFrom } from './score-blocks.ts';

const zeroOf = ({ site: { b } }: Matrices, { array }: Operand): Expr =>
  b.call(array.type as 'vec4f', [b.literal(0, shapeOf(array.type).of as 'f32')], array.type as 'vec4f');

/** Rounds of `lanes` invocations that take so many lines, of so many pieces each. */
const roundsOf = (lanes: number, lines: number, pieces: number): number =>
  Math.ceil(lines / Math.max(1, Math.floor(lanes / pieces))) * Math.ceil(pieces / lanes);

/** A run of vectors of a row, number i of its runs, as the operand holds them; what is beyond the row's end is 0 where runs cross it. */
function runOf(
  walk: Matrices,
  { array }: Operand,
  { node, from }: RowsFrom,
  [row, i]: readonly [Index, Index],
  run: number,
): Expr[] {
  const { site, batch } = walk;
  const { b, inline } = site;
  const { ix } = inline;
  const [rows, width] = node.type.shape.slice(-2);
  const held = (value: Expr) => b.bind('held', b.convert(value, array.type));
  const there = ix.clamp(ix.add(from, row), rows - 1, 'row');
  return range(run).map((v) => {
    const vector = ix.offset(ix.scale(i, run), v);
    if (width % 4) return held(rowFour(walk, node, there, vector));
    const columns = range(4).map((u) => ix.offset(ix.scale(vector, 4), u));
    const elements = columns.map((column) => valueAt(walk, node, [...batch, there, column]));
    return held(asVector(site, elements));
  });
}

/** How many vectors side by side are moved at once, where so many lines of vectors may be dealt out by one or by two. */
const runLength = (width: number, rounds: (run: number) => number): 1 | 2 =>
  width % 8 === 0 && 2 * rounds(2) <= rounds(1) ? 2 : 1;

/** Stages `count` rows, from one on, as they lie, for `lanes` invocations; what is beyond their ends is 0. A barrier is to follow. */
export function stageRows(walk: Matrices, lanes: number, operand: Operand, count: number, rows: RowsFrom): void {
  const { ix } = walk.site.inline;
  const { array, stride, depth } = operand;
  const width = rows.node.type.shape.at(-1)!;
  const vectors = Math.ceil(width / 4);
  const run = stride % 2 ? 1 : runLength(width, (length) => roundsOf(lanes, count, vectors / length));
  const tileOf = (first: number, pieces: number, at: (row: Index, i: Index) => Expr[]): Staged => ({
    lines: count,
    pieces,
    piece: (row, i) =>
      at(row, i).map((value, v) => ({
        place: ix.offset(ix.add(ix.scale(row, stride), ix.scale(i, run)), first + v),
        value,
      })),
  });
  const own = tileOf(0, vectors / run, (row, i) => runOf(walk, operand, rows, [row, i], run));
  const padding = depth / 4 - vectors;
  const zeros = tileOf(vectors, padding / run, () => range(run).map(() => zeroOf(walk, operand)));
  stage(walk.site, { lanes, memory: array }, padding ? [own, zeros] : [own]);
}

/** Stages `columns` columns of `operand.depth` rows, from one on: vectors over four rows. Beyond the last row and column is 0. */
export function stageColumns(walk: Matrices, lanes: number, operand: Operand, columns: number, rows: RowsFrom): void {
  const { site } = walk;
  const { b, inline } = site;
  const { ix } = inline;
  const { array, stride, depth } = operand;
  const [count, width] = rows.node.type.shape.slice(-2);
  const vectors = Math.ceil(width / 4);
  const run = runLength(width, (length) => roundsOf(lanes, vectors / length, depth / 4));
  const joined = (parts: readonly Expr[]) => b.call(array.type as 'vec4f', parts, array.type as 'vec4f');
  const tile: Staged = {
    lines: vectors / run,
    pieces: depth / 4,
    piece(line, quad) {
      const runs = range(4).map((u) => {
        const row = ix.offset(ix.scale(quad, 4), u);
        const held = runOf(walk, operand, rows, [row, line], run);
        // A row that is not there weighs 0, but 0 · ∞ is NaN.
        return held.map((value) => presentOr(site, ix.add(rows.from, row), count, value, zeroOf(walk, operand)));
      });
      return range(4 * run).map((c) => ({
        place: ix.add(ix.scale(ix.offset(ix.scale(line, 4 * run), c), stride), quad),
        value: joined(runs.map((vector) => b.component(vector[c >> 2], c % 4))),
      }));
    },
  };
  const padding = columns - 4 * vectors;
  const zeros: Staged = {
    lines: padding,
    pieces: depth / 4,
    piece: (line, quad) => [
      { place: ix.add(ix.scale(ix.offset(line, 4 * vectors), stride), quad), value: zeroOf(walk, operand) },
    ],
  };
  stage(site, { lanes, memory: array }, padding ? [tile, zeros] : [tile]);
}
