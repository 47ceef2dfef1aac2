/**
 * Attention on matrix units. A first walk over the keys finds each row's largest score and its sum of exponentials, a second one
 * multiplies the weights by the values: scores are computed twice, and sums in fragments, which have no rows to rescale, never are.
 * Scores, statistics and sums are f32, weights are rounded to what the fragments hold.
 */
import { sizeOf, type Node } from '../../ir/index.ts';
import { fixedIndex, type Index } from '../../kernel/index-map.ts';
import type { Expr, SharedArray } from '../../kernel/ir.ts';
import { batchIndex, boundedGroup, range, storeElement, type Launch, type Site } from '../common.ts';
import { sizesOf } from '../online-attention.ts';
import { splat } from '../register-blocks.ts';
import { presentOr } from '../score-blocks.ts';
import {
  acrossRow,
  addWeighted,
  eachProduct,
  putWeights,
  stageOwn,
  sumsOf,
  tall,
  walkOf,
  wide,
  writeSums,
  type FragmentWalk,
} from '../score-fragments.ts';
import { absent, adjustScore, lowest, rowShare, scaledScore } from '../scores.ts';
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
  const walk = walkOf({ site, batch: batchIndex(site, batchShape) }, plan, widthsOf(region));
  const attention: Attention = { ...walk, m, n, row0, operands: anchor.inputs };
  const totals = b.sharedArray('totals', tall(plan));
  stageOwn(walk, 0, { node: q, from: row0 });
  b.comment('largest score of each row, and its sum of exponentials');
  const { largest, total } = statistics(attention);
  writeStatistics(attention, largest, total, totals);
  b.comment('weights · V');
  const sums = sumsOf(walk, e);
  overBlocks(attention, (key0) => {
    eachScores(attention, key0, (four, scores) => {
      const weights = b.call('exp', [b.binary('-', scores, splat(site, largest))]);
      putWeights(walk, four, weights);
    });
    addWeighted(walk, sums, { node: v, from: key0 });
  });
  const divided = (row: Index, four: Expr) =>
    b.bind('attended', b.binary('/', four, splat(site, b.loadShared(totals, ix.expr(row)))));
  writeSums(walk, sums, [row0, m], e, anchor, divided);
  return {
    workgroupSize: plan.down * plan.lanes,
    grid: [gridX, 1, sizeOf(batchShape)],
    subgroup: { size: plan.lanes, sized: plan.sized },
  };
}

function overBlocks({ site: { b, inline }, plan, n }: Attention, body: (key0: Index) => void): void {
  const blocks = Math.ceil(n / wide(plan));
  b.loop('block', blocks, (t) => body(inline.ix.scale(inline.ix.atom(t, blocks - 1), wide(plan))));
}

/** Calls `visit` with four scores of the lane's row at a time; those of keys beyond the last are none. */
function eachScores(attention: Attention, key0: Index, visit: (four: Index, scores: Expr) => void): void {
  const { site, batch, m, n, row0, row, operands } = attention;
  const { b, inline } = site;
  const { ix } = inline;
  const query = ix.clamp(ix.add(row0, row), m - 1, 'query');
  eachProduct(attention, 0, { node: operands[1], from: key0 }, (four, products) => {
    const parts = range(4).map((u) => {
      const key = ix.add(key0, ix.offset(ix.scale(four, 4), u));
      const inside = ix.clamp(key, n - 1, 'key');
      const scaled = scaledScore(site, b.component(products, u));
      return presentOr(site, key, n, adjustScore(site, scaled, [...batch, query, inside], operands), absent(site));
    });
    visit(four, b.bind('scores', b.call('vec4f', parts, 'vec4f')));
  });
}

/** Of the lane's row: each lane has a maximum and a sum of its own until the last key has passed. */
function statistics(attention: Attention): { largest: Expr; total: Expr } {
  const { site } = attention;
  const { b } = site;
  const max = (x: Expr, y: Expr) => b.call('max', [x, y]);
  const add = (x: Expr, y: Expr) => b.binary('+', x, y);
  const exp = (x: Expr) => b.call('exp', [x]);
  const each = (vector: Expr) => range(4).map((u) => b.component(vector, u));
  const top = b.variable('top', lowest(site));
  const sum = b.variable('sum', b.literal(0, 'f32'));
  overBlocks(attention, (key0) => {
    const all: Expr[] = [];
    eachScores(attention, key0, (_, scores) => all.push(scores));
    const now = b.bind('now', max(b.read(top), each(all.reduce(max)).reduce(max)));
    const weights = all.map((scores) => exp(b.binary('-', scores, splat(site, now)))).reduce(add);
    const kept = b.binary('*', b.read(sum), exp(b.binary('-', b.read(top), now)));
    b.assign(sum, add(kept, each(b.bind('weights', weights)).reduce(add)));
    b.assign(top, now);
  });
  const largest = acrossRow(attention, b.read(top), max);
  const own = b.binary('*', b.read(sum), exp(b.binary('-', b.read(top), largest)));
  return { largest, total: acrossRow(attention, own, add) };
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
