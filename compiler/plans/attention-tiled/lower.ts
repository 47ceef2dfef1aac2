/**
 * Online attention by blocks in registers. For each block of keys the workgroup stages queries and keys, scores them, and hands the
 * weights around through workgroup memory; values follow, and the output, rescaled as the maximum grows, stays in registers, as do the
 * statistics of each row. Milakov & Gimelshein 2018, Dao et al. 2022, Dao 2023.
 */
import { sizeOf, type Node } from '../../ir/index.ts';
import { contractionOf } from '../../ops/index.ts';
import { fixedIndex, type Index } from '../../kernel/index-map.ts';
import type { Expr, Variable } from '../../kernel/ir.ts';
import { batchIndex, boundedGroup, range, storeElement, type Launch, type Site } from '../common.ts';
import { sizesOf } from '../online-attention.ts';
import { alongRows, blockOf, columnOf, rowOf, splat, teamOf, zeros, type Block } from '../register-blocks.ts';
import {
  addProducts,
  addWeighted,
  eachRow,
  layoutOf,
  presentOr,
  tall,
  wide,
  writeBlock,
  type Walk,
} from '../score-blocks.ts';
import { absent, adjustScore, lowest, rowShare, scaledScore } from '../scores.ts';
import type { TiledAttentionPlan } from './plan.ts';

interface Attention extends Walk {
  readonly m: number;
  readonly n: number;
  readonly e: number;
  readonly row0: Index;
  /** q, k, v, and maybe bias and mask; of statistics, the third is not looked at. */
  readonly own: readonly Node[];
  /** Of each four of rows: the largest score, the invocation's part of the sum of exponentials. */
  readonly top: readonly Variable[];
  readonly sum: readonly Variable[];
  readonly output: Block;
}

export function tiledAttention(site: Site, plan: TiledAttentionPlan): Launch {
  const { b, inline, region } = site;
  const { ix } = inline;
  const anchor = region.anchor!;
  const isSum = contractionOf(anchor.op) === 'attention-statistics';
  const [q, k, ...more] = anchor.inputs;
  const { m, n, e } = sizesOf(region);
  const layout = layoutOf(plan, e);
  const team = teamOf(site, plan, b.sharedArray('tile', layout.vectors, 'vec4f'));
  const batchShape = anchor.type.shape.slice(0, -2);
  const gridX = Math.ceil(m / tall(plan));
  const quads = range(team.quads);
  const attention: Attention = {
    site,
    team,
    blocks: plan,
    layout,
    batch: batchIndex(site, batchShape),
    ...{ m, n, e },
    row0: ix.scale(boundedGroup(site, 'groupX', gridX), tall(plan)),
    own: isSum ? [q, k, k, ...more] : anchor.inputs,
    top: quads.map((j) => b.variable(`top_${j}`, splat(site, lowest(site)))),
    sum: quads.map((j) => b.variable(`sum_${j}`, zeros(site))),
    output: blockOf(team, Math.ceil(e / plan.across), 'out'),
  };
  const count = Math.ceil(n / wide(plan));
  b.loop('block', count, (t) => overBlock(attention, ix.scale(ix.atom(t, count - 1), wide(plan)), isSum));
  writeResults(attention, isSum);
  return {
    workgroupSize: plan.down * plan.across,
    grid: [gridX, 1, sizeOf(batchShape)],
    ...(plan.subgroup && { subgroup: { size: plan.subgroup, sized: plan.sized } }),
  };
}

function overBlock(attention: Attention, key0: Index, isSum: boolean): void {
  const { site, team, blocks, row0, own } = attention;
  const { b, inline } = site;
  b.comment('scores of this block of keys');
  const scores = blockOf(team, blocks.others, 'score');
  addProducts(attention, scores, { node: own[0], from: row0 }, { node: own[1], from: key0 });
  scores.forEach((quads, c) => {
    const key = inline.ix.add(key0, columnOf(team, c));
    quads.forEach((score, j) => b.assign(score, scoresOf(attention, score, j, key)));
  });
  b.comment('running maximum and sum of each row');
  exponentiate(attention, scores);
  if (isSum) return b.barrier();
  b.comment('output += weights · V');
  addWeighted(attention, attention.output, scores, { node: own[2], from: key0 });
}

/** The scores of four rows with one key, of their products; of a key beyond the last, none. */
function scoresOf({ site, team, batch, row0, m, n, own }: Attention, products: Variable, j: number, key: Index): Expr {
  const { b, inline } = site;
  const { ix } = inline;
  const inside = ix.clamp(key, n - 1, 'key');
  const parts = range(4).map((r) => {
    const row = ix.clamp(ix.add(row0, rowOf(team, j, r)), m - 1, 'query');
    return adjustScore(site, scaledScore(site, b.component(b.read(products), r)), [...batch, row, inside], own);
  });
  return presentOr(site, key, n, b.call('vec4f', parts, 'vec4f'), splat(site, absent(site)));
}

/** Scores become weights under the new maximum; sum and output so far are rescaled to it. */
function exponentiate({ site, team, blocks, layout, top, sum, output }: Attention, scores: Block): void {
  const { b } = site;
  const max = (x: Expr, y: Expr) => b.call('max', [x, y]);
  const exp = (x: Expr) => b.call('exp', [x]);
  const own = top.map((_, j) => scores.map((quads) => b.read(quads[j])).reduce(max));
  const highest = alongRows(team, own, max, { bySubgroups: blocks.subgroup > 0, start: layout.parts });
  top.forEach((before, j) => {
    const now = b.bind(`now_${j}`, max(b.read(before), highest[j]));
    const factor = b.bind(`factor_${j}`, exp(b.binary('-', b.read(before), now)));
    b.assign(before, now);
    for (const quads of scores) b.assign(quads[j], exp(b.binary('-', b.read(quads[j]), now)));
    const weights = scores.map((quads) => b.read(quads[j])).reduce((x, y) => b.binary('+', x, y));
    b.assign(sum[j], b.call('fma', [b.read(sum[j]), factor, weights]));
    for (const quads of output) b.assign(quads[j], b.binary('*', b.read(quads[j]), factor));
  });
}

/** The output divided by the sum; and where a derivative wants them, each row's largest score, and one over the sum. */
function writeResults(attention: Attention, isSum: boolean): void {
  const { site, team, blocks, layout, sum } = attention;
  const { b, inline, outputs, region } = site;
  const add = (x: Expr, y: Expr) => b.binary('+', x, y);
  const parts = sum.map((part) => b.read(part));
  const whole = alongRows(team, parts, add, { bySubgroups: blocks.subgroup > 0, start: layout.parts });
  const totals = whole.map((total) => b.bind('total', total));
  const stats = isSum ? region.anchor! : outputs.find(({ anchor }) => anchor)?.anchor;
  if (stats) {
    const isFirst = b.binary('==', inline.ix.expr(team.column), b.u32(0));
    b.when(isFirst, () => writeStats(attention, totals, stats));
  }
  if (!isSum) writeOutput(attention, totals);
}

function writeStats(attention: Attention, totals: readonly Expr[], stats: Node): void {
  const { site, team, m, batch, row0, top } = attention;
  const { b, inline } = site;
  eachRow(attention, (j, r) => {
    const row = inline.ix.add(row0, rowOf(team, j, r));
    const share = rowShare(site, b.component(totals[j], r));
    const values = [b.bind('largest', b.component(b.read(top[j]), r)), b.bind('share', share)];
    values.forEach((value, i) => storeElement(site, batch, [row, m], [fixedIndex(i), 2], value, stats));
  });
}

function writeOutput(attention: Attention, totals: readonly Expr[]): void {
  const { site, output } = attention;
  const { b } = site;
  for (const quads of output) quads.forEach((quad, j) => b.assign(quad, b.binary('/', b.read(quad), totals[j])));
  const { m, e, row0 } = attention;
  writeBlock(attention, output, [row0, m], e, site.region.anchor!);
}
