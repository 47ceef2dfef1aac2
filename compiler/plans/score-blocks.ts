/**
 * Scores by blocks in registers, what attention for GPUs and its derivatives share: a workgroup owns a block of rows and walks over
 * the other ones in blocks. Products of both add up in registers, what they become is handed around through workgroup memory.
 */
import type { Node } from '../ir/index.ts';
import { limit, type DeviceSpec } from '../device.ts';
import type { Index } from '../kernel/index-map.ts';
import { broadcastIndex } from '../kernel/inline.ts';
import type { Expr } from '../kernel/ir.ts';
import { range, storeElement, type Site } from './common.ts';
import { badCount, badMemory, badRegisters, badWorkgroup } from './family.ts';
import { shuffles } from './online-attention.ts';
import {
  columnsOf,
  fourOf,
  multiply,
  partVectors,
  rowOf,
  rowsOf,
  share,
  sharedRows,
  stage,
  stagedRows,
  strideOf,
  zeros,
  type Block,
  type Place,
  type Team,
} from './register-blocks.ts';

/** `down` × `across` invocations own `rows` rows each (a multiple of 4), and score them with `others` of the others each at a time. */
export interface ScoreBlocks {
  readonly down: number;
  readonly across: number;
  readonly rows: number;
  readonly others: number;
  /** Columns that are staged at a time of what scores are products of. */
  readonly depth: number;
  /** Other rows that are staged at a time of what is added up by scores. */
  readonly span: number;
  /** Of the subgroups by whose shuffles rows are reduced; 0: through workgroup memory. */
  readonly subgroup: number;
  /** Whether the kernel asks for subgroups of that size: the device has them of several. */
  readonly sized: boolean;
}

export const tall = ({ down, rows }: ScoreBlocks): number => down * rows;
export const wide = ({ across, others }: ScoreBlocks): number => across * others;

/** Where everything lies in workgroup memory; weights and values come when queries and keys have been read. */
export interface Layout {
  readonly own: Place;
  readonly other: Place;
  readonly weights: Place;
  readonly values: Place;
  /** A vector of each other row. */
  readonly facts: number;
  /** What is combined along rows. */
  readonly parts: number;
  readonly vectors: number;
}

/** For sums that have so many columns; `hasFacts` of the other rows, or none. */
export function layoutOf(blocks: ScoreBlocks, columns: number, hasFacts = false): Layout {
  const { down, across, depth, span, subgroup } = blocks;
  const stride = strideOf(depth / 4);
  const weights = { start: 0, stride: strideOf(tall(blocks) / 4) };
  const values = { start: wide(blocks) * weights.stride, stride: strideOf(span / 4) };
  const padded = 4 * Math.ceil((across * Math.ceil(columns / across)) / 4);
  const facts = Math.max((tall(blocks) + wide(blocks)) * stride, values.start + padded * values.stride);
  const parts = facts + (hasFacts ? wide(blocks) : 0);
  const reduced = hasFacts ? Math.max(tall(blocks), wide(blocks)) : tall(blocks);
  return {
    own: { start: 0, stride },
    other: { start: tall(blocks) * stride, stride },
    weights,
    values,
    facts,
    parts,
    vectors: parts + (subgroup ? 0 : partVectors(down, across, reduced / down)),
  };
}

/** Numbers in registers beside which an invocation still has room for operands and addresses. */
const MOST_HELD = 160;
/** Columns of a sum that an invocation has, about. */
const COLUMNS = 16;
/** Workgroup memory of which a core has enough for several workgroups. */
const MOST_BYTES = 32768;
/** Columns that are staged at a time, about. */
const DEPTH = 40;

/** Geometries for a device, the better ones first: of products so deep, and sums of so many columns. */
export function* scoreBlocks(device: DeviceSpec, depths: number, columns: number, others: number) {
  const across = [8, 16, 32].find((lanes) => columns <= COLUMNS * lanes) ?? 32;
  const subgroups = shuffles(device, across);
  const depth = 4 * Math.ceil(depths / Math.ceil(depths / DEPTH) / 4);
  for (const down of [16, 8, 4])
    for (const width of others > 32 ? [64, 32] : [32])
      for (const span of [32, 16, 8, 4])
        if (down * across <= 256) yield { down, across, rows: 4, others: width / across, depth, span, ...subgroups };
}

/** What the sums of a row depend on: which of the others it meets at a time, and whose parts of it are combined how. */
export const scoreOrder = ({ across, others, depth, span, subgroup }: ScoreBlocks): string =>
  `${across}×${others} others, ${depth} deep, by ${span}, combined by ${subgroup}`;

/** The workgroup memory that a geometry may be given unless told. */
export const mostBytes = (device: DeviceSpec): number =>
  Math.min(MOST_BYTES, limit(device, 'maxComputeWorkgroupStorageSize'));

/** Why no kernel has such blocks, of products and sums that hold so many numbers an invocation; undefined where one can. */
export function badBlocks(blocks: ScoreBlocks, held: number, vectors: number, device: DeviceSpec): string | undefined {
  const { down, across, rows, others, depth, span, subgroup, sized } = blocks;
  const lanes = down * across;
  const bad = badCount({ down, across, rows, others, depth, span }) ?? badWorkgroup(lanes, device);
  if (bad) return bad;
  const odd = [rows, depth, span].find((size) => size % 4);
  if (odd) return `${odd} does not divide into vectors of 4`;
  if (Math.max(depth, span) > 4 * lanes) return `${lanes} invocations do not stage ${Math.max(depth, span)} at a time`;
  if (wide(blocks) % span) return `${wide(blocks)} rows do not divide into ${span}`;
  const can = shuffles(device, across);
  if (subgroup && (can.subgroup !== subgroup || can.sized !== sized || lanes % subgroup))
    return `${device.name} reduces no rows of ${across} of ${lanes} invocations by subgroups of ${subgroup}`;
  return badRegisters(held, MOST_HELD) ?? badMemory(16 * vectors, device);
}

/** A workgroup and the matrices of its batch. */
export interface Matrices {
  readonly site: Site;
  readonly batch: readonly Index[];
}

/** The walk of a workgroup. */
export interface Walk extends Matrices {
  readonly team: Team;
  readonly blocks: ScoreBlocks;
  readonly layout: Layout;
}

/** The rows of a matrix from row `from` on. */
export interface RowsFrom {
  readonly node: Node;
  readonly from: Index;
}

export const valueAt = ({ site: { inline } }: Matrices, node: Node, index: readonly Index[]): Expr =>
  inline.value(node, broadcastIndex(index, node.type.shape));

/** Four elements of a row, 0 beyond its end; of a row beyond the last, that one's. */
export function rowFour(walk: Matrices, node: Node, row: Index, four: Index): Expr {
  const { site, batch } = walk;
  const [rows, width] = node.type.shape.slice(-2);
  const inside = site.inline.ix.clamp(row, rows - 1, 'row');
  return fourOf(site, width, four, (column) => valueAt(walk, node, [...batch, inside, column]));
}

const crewOf = ({ down, across, memory }: Team) => ({ lanes: down * across, memory });

/** Rolled: written out, the addresses of all chunks would be kept in registers beside the blocks. */
const eachChunk = ({ b }: Site, chunks: number, body: (c: Expr) => void): void => b.loop('chunk', chunks, body, true);

/** Adds to a block the products of own and other rows. */
export function addProducts(walk: Walk, block: Block, own: RowsFrom, other: RowsFrom): void {
  const { site, team, blocks, layout } = walk;
  const { b, inline } = site;
  const { ix } = inline;
  const fours = blocks.depth / 4;
  const chunks = Math.ceil(own.node.type.shape.at(-1)! / blocks.depth);
  eachChunk(site, chunks, (c) => {
    const first = ix.scale(ix.atom(c, chunks - 1), fours);
    const load =
      ({ node, from }: RowsFrom) =>
      (row: Index, four: Index) =>
        rowFour(walk, node, ix.add(from, row), ix.add(first, four));
    stage(site, crewOf(team), [
      rowsOf(site, layout.own, [tall(blocks), fours], load(own)),
      rowsOf(site, layout.other, [wide(blocks), fours], load(other)),
    ]);
    b.barrier();
    multiply(team, block, fours, stagedRows(team, layout.own), layout.other);
    b.barrier();
  });
}

/** Adds to sums the other rows, each times its weight in a block, which is 0 for those beyond the last. */
export function addWeighted(walk: Walk, sums: Block, weights: Block, { node, from }: RowsFrom): void {
  const { site, team, blocks, layout } = walk;
  const { b, inline } = site;
  const { ix } = inline;
  const count = node.type.shape.at(-2)!;
  share(
    team,
    layout.weights,
    weights.map((quads) => quads.map((weight) => b.read(weight))),
  );
  const chunks = wide(blocks) / blocks.span;
  eachChunk(site, chunks, (c) => {
    const first = ix.scale(ix.atom(c, chunks - 1), blocks.span);
    const load = (local: Index, four: Index) => {
      const row = ix.add(from, ix.add(first, local));
      const value = rowFour(walk, node, row, four);
      // A row that is not there weighs 0, but 0 · ∞ is NaN.
      return presentOr(site, row, count, value, zeros(site));
    };
    stage(site, crewOf(team), [columnsOf(site, layout.values, [blocks.span, blocks.across * sums.length], load)]);
    b.barrier();
    multiply(team, sums, blocks.span / 4, sharedRows(team, layout.weights, first), layout.values);
    b.barrier();
  });
}

/** A value where a row is one of so many, else another one. */
export function presentOr({ b, inline: { ix } }: Site, row: Index, count: number, value: Expr, absent: Expr): Expr {
  if (ix.clamp(row, count - 1, 'row') === row) return value;
  return b.call('select', [absent, value, b.binary('<', ix.expr(row), b.u32(count))]);
}

/** Stores a block of an anchor's result, from a row on, of so many rows and columns. */
export function writeBlock(
  walk: Walk,
  block: Block,
  [row0, rows]: readonly [Index, number],
  columns: number,
  anchor: Node,
): void {
  const { site, team, blocks, batch } = walk;
  const { b, inline } = site;
  const { ix } = inline;
  const values = b.privateArray(
    'values',
    block.flatMap((quads) => quads.flatMap((quad) => range(4).map((r) => b.component(b.read(quad), r)))),
  );
  b.loop('c', block.length, (i) => {
    const c = ix.atom(i, block.length - 1);
    const column = ix.add(team.column, ix.scale(c, team.across));
    eachRow(walk, (j, r) => {
      const value = b.bind('value', b.loadShared(values, ix.expr(ix.offset(ix.scale(c, blocks.rows), 4 * j + r))));
      storeElement(site, batch, [ix.add(row0, rowOf(team, j, r)), rows], [column, columns], value, anchor);
    });
  });
}

/** Calls `visit` for each of an invocation's rows of the block. */
export const eachRow = ({ team }: Walk, visit: (j: number, r: number) => void): void =>
  range(team.quads).forEach((j) => range(4).forEach((r) => visit(j, r)));
