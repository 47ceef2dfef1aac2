/**
 * Attention on matrix units. A first walk over the keys finds each row's largest score, a second one adds up the weights and multiplies
 * them by the values: scores are computed twice, and sums in fragments, which have no rows to rescale, never are.
 * Scores, statistics and sums are f32, weights are rounded to what the fragments hold.
 */
import { sizeOf, type Node } from '../../ir/index.ts';
import { fixedIndex, type Index } from '../../kernel/index-map.ts';
import type { Expr, SharedArray } from '../../kernel/ir.ts';
import { boundedBatch, boundedGroup, range, storeElement, type Launch, type Site } from '../common.ts';
import { sizesOf } from '../online-attention.ts';
import { splat } from '../register-blocks.ts';
import {
  acrossRow,
  addWeighted,
  eachProduct,
  overBlocks,
  putWeights,
  stageOwn,
  sumsOf,
  tall,
  walkOf,
  writeSums,
  type FragmentWalk,
} from '../score-fragments.ts';
import { plainScale, presentFour, scoresOf, weigher } from '../score-weights.ts';
import { absent, lowest, rowShare } from '../scores.ts';
import { widthsOf, type FragmentAttentionPlan } from './plan.ts';

interface Attention extends FragmentWalk {
  readonly m: number;
  readonly n: number;
  readonly row0: Index;
  readonly operands: readonly Node[];
}

export function fragmentAttention(site: Site, plan: FragmentAttentionPlan): Launch {
  const { b, inline, region } = site;
  const { ix } = inline;
  const anchor = region.anchor!;
  const [q, , v] = anchor.inputs;
  const { m, n, e } = sizesOf(region);
  const batchShape = anchor.type.shape.slice(0, -2);
  const gridX = Math.ceil(m / tall(plan));
  const row0 = ix.scale(boundedGroup(site, 'groupX', gridX), tall(plan));
  const walk = walkOf({ site, batch: boundedBatch(site, batchShape) }, plan, widthsOf(region));
  const attention: Attention = { ...walk, m, n, row0, operands: anchor.inputs };
  const totals = b.sharedArray('totals', tall(plan));
  stageOwn(walk, 0, { node: q, from: row0 });
  b.comment('largest score of each row');
  const largest = largestOf(attention);
  b.comment('weights, their sums, and weights · V');
  const sums = sumsOf(walk, e);
  const total = addUp(attention, largest, (key0) => addWeighted(walk, sums, { node: v, from: key0 }));
  writeStatistics(attention, largest, total, totals);
  const divided = (row: Index, four: Expr) =>
    b.bind('attended', b.binary('/', four, splat(site, b.loadShared(totals, ix.expr(row)))));
  writeSums(walk, sums, [row0, m], e, anchor, divided);
  return {
    workgroupSize: plan.down * plan.lanes,
    grid: [gridX, 1, sizeOf(batchShape)],
    subgroup: { size: plan.lanes, sized: plan.sized },
  };
}

/** Calls `visit` with what four weights of the lane's row are made of at a time. */
function eachScores(attention: Attention, key0: Index, visit: (four: Index, scores: Expr) => void): void {
  const { site, batch, m, n, row0, row, operands } = attention;
  const { ix } = site.inline;
  const query = ix.clamp(ix.add(row0, row), m - 1, 'query');
  eachProduct(attention, 0, { node: operands[1], from: key0 }, (four, products) => {
    const keyAt = (u: number) => ix.clamp(ix.add(key0, ix.offset(ix.scale(four, 4), u)), n - 1, 'key');
    visit(
      four,
      scoresOf(site, operands, products, (u) => [...batch, query, keyAt(u)]),
    );
  });
}

const each = ({ site: { b } }: Attention, vector: Expr): Expr[] => range(4).map((u) => b.component(vector, u));

/** Of the lane's row: each of its lanes has one of its own until the last key has passed. */
function largestOf(attention: Attention): Expr {
  const { site, n, operands } = attention;
  const { b, inline } = site;
  const { ix } = inline;
  const max = (x: Expr, y: Expr) => b.call('max', [x, y]);
  const scale = plainScale(site, operands);
  const top = b.variable('top', absent(site));
  overBlocks(attention, n, (key0) => {
    const all: Expr[] = [];
    eachScores(attention, key0, (four, scores) =>
      all.push(presentFour(site, ix.add(key0, ix.scale(four, 4)), n, scores, absent(site))),
    );
    const most = each(attention, b.bind('most', all.reduce(max))).reduce(max);
    b.assign(top, max(b.read(top), most));
  });
  const largest = acrossRow(attention, b.read(top), max);
  const score = scale === undefined ? largest : b.binary('*', largest, b.literal(scale, 'f32'));
  return b.bind('largest', max(score, lowest(site)));
}

/** Hands in the weights of each block, calls `visit` to use them, and gives the sum of the row's. */
function addUp(attention: Attention, largest: Expr, visit: (key0: Index) => void): Expr {
  const { site, n, operands } = attention;
  const { b, inline } = site;
  const { ix } = inline;
  const add = (x: Expr, y: Expr) => b.binary('+', x, y);
  const { weigh, even } = weigher(site, operands, largest);
  const zero = b.literal(0, 'f32');
  const own = b.variable('own_total', zero);
  overBlocks(attention, n, (key0) => {
    const all: Expr[] = [];
    eachScores(attention, key0, (four, scores) => {
      const first = ix.add(key0, ix.scale(four, 4));
      const weights = b.bind('weights', weigh(scores));
      all.push(presentFour(site, first, n, weights, zero));
      const held = even ? b.bind('held', add(weights, splat(site, even))) : weights;
      putWeights(attention, four, presentFour(site, first, n, held, zero));
    });
    const block = b.bind('block_total', all.reduce(add));
    b.assign(own, each(attention, block).reduce(add, b.read(own)));
    visit(key0);
  });
  const sum = acrossRow(attention, b.read(own), add);
  return even ? b.bind('total', b.call('fma', [even, b.literal(n, 'f32'), sum])) : sum;
}

/** Tells the workgroup the sums of its rows; and where a derivative wants them, stores each row's largest score, and one over the sum. */
function writeStatistics(attention: Attention, largest: Expr, total: Expr, totals: SharedArray): void {
  const { site, batch, m, row0, row, part } = attention;
  const { b, inline, outputs } = site;
  const { ix } = inline;
  const stats = outputs.find(({ anchor }) => anchor)?.anchor;
  b.when(b.binary('==', ix.expr(part), b.u32(0)), () => {
    b.storeShared(totals, ix.expr(row), total);
    if (!stats) return;
    [largest, b.bind('share', rowShare(site, total))].forEach((value, i) =>
      storeElement(site, batch, [ix.add(row0, row), m], [fixedIndex(i), 2], value, stats),
    );
  });
}
