/**
 * Scores on matrix units, what attention and its derivatives share: a subgroup owns a fragment of rows, a workgroup walks over the
 * other ones in blocks. Products of both go through workgroup memory to the invocations, which make weights of them; these go back
 * as fragments to be multiplied. Nothing of a fragment is rescaled: rows' largest scores are known before weights are computed.
 */
import type { Node } from '../ir/index.ts';
import type { DeviceSpec } from '../device.ts';
import { ZERO, type Index } from '../kernel/index-map.ts';
import type { Expr, SharedArray } from '../kernel/ir.ts';
import { vec } from '../kernel/types.ts';
import { builtins, range, storeElement, storeFour } from './common.ts';
import { badCount, badMemory, badWorkgroup } from './family.ts';
import { strideOf } from './fragment-tiles.ts';
import {
  eachFour,
  fragmentShapes,
  handoutOf,
  multiplyTiles,
  sameFragments,
  zeroBlock,
  type FragmentBlock,
  type FragmentShape,
  type Operand,
} from './fragments.ts';
import type { Matrices, RowsFrom } from './score-blocks.ts';
import { stageColumns, stageRows } from './score-stage.ts';

/** `down` subgroups own a fragment of rows each, and score them with `others` fragments of the others at a time. */
export interface ScoreFragments extends FragmentShape {
  readonly down: number;
  readonly others: number;
}

export const tall = ({ down, m }: ScoreFragments): number => down * m;
export const wide = ({ others, n }: ScoreFragments): number => others * n;
export const invocations = ({ down, lanes }: ScoreFragments): number => down * lanes;

const upTo = (size: number, by: number): number => Math.ceil(size / by) * by;

/** Fragments of a sum so wide, those that complete its last part as it is handed out among them (fragments.ts). */
function fragmentsOf(plan: ScoreFragments, width: number): number {
  let count = Math.ceil(width / plan.n);
  while (handoutOf(plan, count) % plan.lanes) count++;
  return count;
}

/** Vectors of each array: of own rows of each width, of the tile that others pass through, of scores and weights. */
function sizesOf(plan: ScoreFragments, { own, products, sums }: Widths) {
  const { of, k, n } = plan;
  const counts = sums.flat().map((width) => fragmentsOf(plan, width));
  const stride = (width: number) => strideOf(upTo(width, k), of);
  const passing = [
    ...products.map((width) => wide(plan) * stride(width)),
    ...counts.map((count) => count * n * strideOf(wide(plan), of)),
  ];
  return {
    own: own.map((width) => tall(plan) * stride(width)),
    passing: Math.max(...passing),
    // Sums are handed out through it too.
    scores: plan.down * Math.max(plan.m * scoreStride(plan), ...counts.map((count) => handoutOf(plan, count))),
    weights: tall(plan) * strideOf(wide(plan), of),
  };
}

/** Rows of scores are kept out of each other's banks. */
const scoreStride = (plan: ScoreFragments): number => wide(plan) / 4 + 1;

/** What a walk holds, of which widths. */
export interface Widths {
  /** Own rows that stay in workgroup memory. */
  readonly own: readonly number[];
  /** Other rows that are multiplied by them. */
  readonly products: readonly number[];
  /** Sums of weighted other rows, those of each walk. */
  readonly sums: readonly (readonly number[])[];
}

/** Bytes of workgroup memory, `facts` vectors of f32 among them. */
export function bytesOf(plan: ScoreFragments, widths: Widths, facts: number): number {
  const sizes = sizesOf(plan, widths);
  const narrow = sizes.own.reduce((sum, vectors) => sum + vectors, 0) + sizes.passing + sizes.weights;
  return narrow * (plan.of === 'f16' ? 8 : 16) + 16 * (sizes.scores + facts);
}

/** Registers of a lane that operands and addresses take; the others hold sums. */
const OPERANDS_HELD = 116;
const mostHeld = ({ registers = 256 }: DeviceSpec): number => registers - OPERANDS_HELD;

/** Geometries for operands of a type, the better ones first. */
export function* scoreFragments(device: DeviceSpec, operands: readonly Node[], others: number) {
  const [type] = operands.map((node) => node.type.dtype);
  const [shape] = operands.every((node) => node.type.dtype === type) ? fragmentShapes(device, type) : [];
  if (!shape) return;
  // Subgroups share the work of staging: the more, the less of it for each product.
  for (const down of [4, 2, 1])
    for (const width of others > 32 ? [64, 32, 16] : [32, 16]) yield { ...shape, down, others: width / shape.n };
}

/** What the sums of a row depend on: the fragments that add them up, and how many others it meets at a time. */
export const scoreOrder = ({ of, m, n, k, lanes, others }: ScoreFragments): string =>
  `${others} others in ${m}×${n}×${k} of ${of} by ${lanes}`;

/** Workgroup memory of a subgroup, of which a core has enough for several workgroups of four. */
const MOST_BYTES_EACH = 13 * 1024;

/**
 * The best of the legal plans, which are in the order of `scoreFragments`: blocks of others as wide as leave a core room for several
 * workgroups, and the most rows of which the grid has enough. The width is the same for any grid, and so are sums.
 */
export function preferred<P extends ScoreFragments>(
  plans: readonly P[],
  widths: Widths,
  factsOf: (plan: P) => number,
  isFilled: (plan: P) => boolean = () => true,
): P | undefined {
  const shared = plans.filter(({ down }) => down > 1);
  const light = shared.find((plan) => bytesOf(plan, widths, factsOf(plan)) <= plan.down * MOST_BYTES_EACH);
  // Subgroups of a workgroup share the others that pass by: one alone would spend its time on staging them.
  if (!light) return shared.at(-1) ?? plans.at(-1);
  const alike = shared.filter(({ others }) => others === light.others);
  return alike.find(isFilled) ?? alike.at(-1);
}

/** Why no kernel walks so; undefined where one can. */
export function badFragments(
  plan: ScoreFragments,
  operands: readonly Node[],
  widths: Widths,
  facts: number,
  device: DeviceSpec,
): string | undefined {
  const { down, others, m, k, lanes } = plan;
  const types = operands.map((node) => node.type.dtype);
  const isOffered = types.every((type) => fragmentShapes(device, type).some((shape) => sameFragments(shape, plan)));
  if (!isOffered) return `${device.name} has no such fragments for ${types.join('·')}`;
  const bad = badCount({ down, others }) ?? badWorkgroup(invocations(plan), device);
  if (bad) return bad;
  if (wide(plan) % k) return `${k} does not divide ${wide(plan)} rows`;
  if ((wide(plan) * m) % (4 * lanes) || lanes % m)
    return `${lanes} lanes do not share ${m}×${wide(plan)} scores evenly`;
  const columnsIn = (sums: readonly number[]) =>
    sums.reduce((sum, width) => sum + fragmentsOf(plan, width) * plan.n, 0);
  const held = ((Math.max(...widths.sums.map(columnsIn)) + wide(plan)) * m) / lanes;
  if (held > mostHeld(device)) return `${held} numbers a lane: its registers hold ${mostHeld(device)}`;
  return badMemory(bytesOf(plan, widths, facts), device);
}

/** The walk of a workgroup on matrix units. */
export interface FragmentWalk extends Matrices {
  readonly plan: ScoreFragments;
  readonly own: readonly Operand[];
  readonly passing: SharedArray;
  readonly scores: SharedArray;
  readonly weights: Operand;
  /** This invocation's subgroup, and its lane in it. */
  readonly subgroup: Index;
  readonly lane: Index;
  /** The row of scores that the lane makes weights of, as the workgroup counts, with `parts − 1` others, and its number among them. */
  readonly row: Index;
  readonly part: Index;
  readonly parts: number;
}

export function walkOf(matrices: Matrices, plan: ScoreFragments, widths: Widths): FragmentWalk {
  const { b, inline } = matrices.site;
  const { ix } = inline;
  const { of, k, m, lanes } = plan;
  const sizes = sizesOf(plan, widths);
  const array = (hint: string, vectors: number) => b.sharedArray(hint, vectors, vec(of, 4));
  const [subgroup, lane] = ix.divmod(ix.atom(builtins(b).lane, invocations(plan) - 1), lanes);
  const parts = lanes / m;
  const [row, part] = ix.divmod(lane, parts);
  return {
    ...matrices,
    plan,
    own: widths.own.map((width, i) => {
      const depth = upTo(width, k);
      return { array: array('own', sizes.own[i]), stride: strideOf(depth, of), depth };
    }),
    passing: array('passing', sizes.passing),
    scores: b.sharedArray('scores', sizes.scores, 'vec4f'),
    weights: { array: array('weights', sizes.weights), stride: strideOf(wide(plan), of), depth: wide(plan) },
    subgroup,
    lane,
    row: ix.add(ix.scale(subgroup, m), row),
    part,
    parts,
  };
}

/** Calls `body` with the first row of each block of so many others: in a loop for whole ones, which then ask for no bounds, and for the rest. */
export function overBlocks({ site, plan }: FragmentWalk, others: number, body: (first: Index) => void): void {
  const { b, inline } = site;
  const { ix } = inline;
  const whole = Math.floor(others / wide(plan));
  if (whole) b.loop('block', whole, (t) => body(ix.scale(ix.atom(t, whole - 1), wide(plan))));
  if (others % wide(plan)) body(ix.offset(ZERO, whole * wide(plan)));
}

/** Own rows stay where they are all along. A barrier is to follow. */
export const stageOwn = (walk: FragmentWalk, which: number, rows: RowsFrom): void =>
  stageRows(walk, invocations(walk.plan), walk.own[which], tall(walk.plan), rows);

/** A block of fragments of the subgroup's own rows. */
const blockOf = ({ site, plan, subgroup }: FragmentWalk, columns: number, hint: string): FragmentBlock =>
  zeroBlock(site, { shape: plan, rows: 1, columns, row: site.inline.ix.scale(subgroup, plan.m), column: ZERO }, hint);

export const sumsOf = (walk: FragmentWalk, width: number): FragmentBlock =>
  blockOf(walk, fragmentsOf(walk.plan, width), 'sum');

/**
 * Products of own and other rows, handed to the invocations: `visit` gets four of the lane's row and the number of the first of the
 * other rows. Nobody reads what passed through workgroup memory any more, and a barrier parts the walk from what was before.
 */
export function eachProduct(
  walk: FragmentWalk,
  which: number,
  other: RowsFrom,
  visit: (four: Index, products: Expr) => void,
): void {
  const { site, plan, passing, scores, own, row, part, parts } = walk;
  const { b, inline } = site;
  const { ix } = inline;
  const tile = { ...own[which], array: passing };
  stageRows(walk, invocations(plan), tile, wide(plan), other);
  b.barrier();
  const block = blockOf(walk, plan.others, 'score');
  multiplyTiles(site, block, own[which], tile);
  const stride = scoreStride(plan);
  block.sums[0].forEach((sum, c) => {
    const offset = ix.expr(ix.offset(ix.scale(block.row, stride), (c * plan.n) / 4));
    b.storeFragment(b.read(sum), { array: scores, offset, stride: b.u32(stride), by: 'rows' });
  });
  b.barrier();
  range(wide(plan) / 4 / parts).forEach((i) => {
    const four = ix.offset(part, i * parts);
    visit(four, b.bind('products', b.loadShared(scores, ix.expr(ix.add(ix.scale(row, stride), four)))));
  });
}

/** Hands in the weights of the lane's row with four of the other rows. */
export function putWeights({ site: { b, inline }, weights, row }: FragmentWalk, four: Index, values: Expr): void {
  const place = inline.ix.add(inline.ix.scale(row, weights.stride), four);
  b.storeShared(weights.array, inline.ix.expr(place), b.convert(values, weights.array.type));
}

/** Adds to sums the other rows, each times its weight that was handed in; no barrier has come by since. */
export function addWeighted(walk: FragmentWalk, sums: FragmentBlock, rows: RowsFrom): void {
  const { site, plan, passing, weights } = walk;
  const tile = { ...weights, array: passing };
  stageColumns(walk, invocations(plan), tile, sums.columns * plan.n, rows);
  site.b.barrier();
  multiplyTiles(site, sums, weights, tile);
  site.b.barrier();
}

/** Stores sums as an anchor's result, from a row on, of so many rows and columns; `finish` has the last word on four of a row. */
export function writeSums(
  walk: FragmentWalk,
  sums: FragmentBlock,
  [row0, rows]: readonly [Index, number],
  columns: number,
  anchor: Node,
  finish: (row: Index, four: Expr) => Expr = (_, four) => four,
): void {
  const { site, scores, batch, subgroup, lane } = walk;
  const { b, inline } = site;
  const { ix } = inline;
  eachFour(site, sums, { array: scores, subgroup, lane }, (local, column, products) => {
    const row = ix.add(row0, local);
    const four = finish(local, products);
    if (columns % 4 === 0) return storeFour(site, batch, [row, rows], [column, columns], four, anchor);
    range(4).forEach((u) =>
      storeElement(site, batch, [row, rows], [ix.offset(column, u), columns], b.component(four, u), anchor),
    );
  });
}

/** A number of each of the lanes of a row, combined: of `parts` beside each other. */
export function acrossRow(
  { site: { b }, parts }: Pick<FragmentWalk, 'site' | 'parts'>,
  own: Expr,
  combine: (x: Expr, y: Expr) => Expr,
): Expr {
  let all = own;
  for (let apart = 1; apart < parts; apart *= 2) {
    const before = b.bind('part', all);
    all = combine(before, b.call('subgroupShuffleXor', [before, b.u32(apart)]));
  }
  return b.bind('all', all);
}
