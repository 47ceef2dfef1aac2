/**
 * The weights exp(score − largest) of attention on matrix units, four of a row at a time. Where a score is its product q·k times a number and
 * nothing else (`plain`), a weight is a multiply-add and a power of two; else scores are made one by one (scores.ts).
 */
import type { Node } from '../ir/index.ts';
import { attrNumber, scoreOperands } from '../ops/index.ts';
import type { Index } from '../kernel/index-map.ts';
import type { Expr } from '../kernel/ir.ts';
import { asVector, range, type Site } from './common.ts';
import { splat } from './register-blocks.ts';
import { presentOr } from './score-blocks.ts';
import { adjustScore, hasCap, lowest, scaledScore } from './scores.ts';

/**
 * The number that makes scores of products, where nothing else does; undefined where more does, or where a score that is neither
 * infinite nor NaN may be so large that its power of two overflows: of operands of f16 none is.
 */
export function plainScale({ region }: Site, operands: readonly Node[]): number | undefined {
  const anchor = region.anchor!;
  const { bias, mask } = scoreOperands(operands, (node) => node.type.dtype);
  const scale = attrNumber(anchor.attrs, 'scale');
  const isHalf = operands.slice(0, 2).every((node) => node.type.dtype === 'f16');
  return !bias && !mask && !hasCap({ region } as Site) && isHalf && scale > 0 && scale <= 1 ? scale : undefined;
}

/** What weights are made of: products where they are plain, else scores. `indexAt` has the index [...batch, query, key] of each. */
export function scoresOf(
  site: Site,
  operands: readonly Node[],
  products: Expr,
  indexAt: (u: number) => readonly Index[],
): Expr {
  const { b } = site;
  if (plainScale(site, operands) !== undefined) return products;
  const score = (u: number) => adjustScore(site, scaledScore(site, b.component(products, u)), indexAt(u), operands);
  return b.bind('scores', b.call('vec4f', range(4).map(score), 'vec4f'));
}

/** Of a row's largest score: weight = 2^(scale · log2 e · product + offset) + even. */
export interface Measure {
  /** What is added to the logarithm of a weight, to base 2. */
  readonly offset: Expr;
  /** What is added to each weight: 1 in a row whose scores all count as the lowest number, whose products are −∞ and weigh 0 by themselves. */
  readonly even: Expr;
}

export function measureOf(site: Site, largest: Expr): Measure {
  const { b } = site;
  const zero = b.literal(0, 'f32');
  const isLowest = b.bind('is_lowest', b.binary('<=', largest, lowest(site)));
  const offset = b.binary('*', largest, b.literal(-Math.LOG2E, 'f32'));
  return {
    offset: b.bind('offset', b.call('select', [offset, zero, isLowest])),
    even: b.bind('even', b.call('select', [zero, b.literal(1, 'f32'), isLowest])),
  };
}

/** exp(score − largest) of plain products, before what is added to each: NaN where one is NaN, or +∞. */
export function plainWeights({ b }: Site, scale: number, products: Expr, offsets: Expr): Expr {
  const steep = b.call('vec4f', [b.literal(scale * Math.LOG2E, 'f32')], 'vec4f');
  return b.call('exp2', [b.call('fma', [products, steep, offsets], 'vec4f')]);
}

/** What makes exp(score − largest) of what `scoresOf` gave, for rows of one largest score; `even` is to be added, where it is there. */
export function weigher(
  site: Site,
  operands: readonly Node[],
  largest: Expr,
): { weigh: (scores: Expr) => Expr; even?: Expr } {
  const { b } = site;
  const scale = plainScale(site, operands);
  if (scale === undefined) return { weigh: (scores) => b.call('exp', [b.binary('-', scores, splat(site, largest))]) };
  const { offset, even } = measureOf(site, largest);
  return { weigh: (products) => plainWeights(site, scale, products, splat(site, offset)), even };
}

/** Four values of rows from one on; another one for each that is beyond the last of so many. */
export function presentFour(site: Site, first: Index, count: number, four: Expr, absent: Expr): Expr {
  const { b, inline } = site;
  const parts = range(4).map((u) => presentOr(site, inline.ix.offset(first, u), count, b.component(four, u), absent));
  return asVector(site, parts);
}
