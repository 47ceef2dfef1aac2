/** What all families of attention do to a score before the softmax: cap, bias, mask, and −∞ counted as the lowest number. */
import type { Node } from '../ir/index.ts';
import { attrNumber, LOWEST, scoreOperands } from '../ops/index.ts';
import type { Index } from '../kernel/index-map.ts';
import { broadcastIndex } from '../kernel/inline.ts';
import type { Expr } from '../kernel/ir.ts';
import type { Site } from './common.ts';

/** What the largest score of no keys is: no score is below. */
export const lowest = ({ b }: Site): Expr => b.literal(LOWEST, 'f32');
/** The score of a key that is not there: nothing beside any score, the lowest too. */
export const absent = ({ b }: Site): Expr => b.literal(-Infinity, 'f32');

const literal = ({ b, region }: Site, name: string): Expr => b.literal(attrNumber(region.anchor!.attrs, name), 'f32');

export const hasCap = ({ region }: Site): boolean => region.anchor!.attrs.cap !== undefined;

/** scale·q·k; under a cap, its tanh. */
export function scaledScore(site: Site, product: Expr): Expr {
  const { b } = site;
  const scaled = b.binary('*', product, literal(site, 'scale'));
  return hasCap(site) ? b.bind('bend', b.op('tanh', [scaled], {}, 'f32')) : scaled;
}

/** The derivative of the score by q·k, of its `scaledScore`. */
export function scoreSlope(site: Site, scaled: Expr): Expr {
  const { b } = site;
  const scale = literal(site, 'scale');
  if (!hasCap(site)) return scale;
  const steep = b.binary('-', b.literal(1, 'f32'), b.binary('*', scaled, scaled));
  return b.binary('*', b.binary('*', scale, literal(site, 'cap')), steep);
}

/** The score at an index [...batch, row, key]: capped, the bias added, and the fill where the mask does not hold. */
export function adjustScore(
  site: Site,
  scaled: Expr,
  index: readonly Index[],
  operands: readonly Node[] = site.region.anchor!.inputs,
): Expr {
  const { b, inline, region } = site;
  const anchor = region.anchor!;
  const score = hasCap(site) ? b.binary('*', scaled, literal(site, 'cap')) : scaled;
  const { bias, mask } = scoreOperands(operands, (node) => node.type.dtype);
  const at = (node: Node) => inline.value(node, broadcastIndex(index, node.type.shape));
  const biased = bias ? b.binary('+', score, at(bias)) : score;
  const fill = () => b.literal(attrNumber(anchor.attrs, 'fill'), 'f32');
  const filled = mask ? b.call('select', [fill(), biased, at(mask)]) : biased;
  const made = b.bind('score', filled);
  if (bias || mask) return b.op('max', [made, lowest(site)], {}, 'f32');
  // Only overflow makes −∞ of it: a comparison, which leaves NaN alone, is a third of the work.
  return b.call('select', [made, lowest(site), b.binary('<', made, lowest(site))]);
}

/**
 * What is kept of a row for its derivative. Not 1/total: where a score is NaN some devices have the sum of exponentials infinite,
 * which this keeps NaN.
 */
export function rowShare({ b }: Site, total: Expr): Expr {
  return b.binary('/', total, b.binary('*', total, total));
}

/**
 * P of a query and a key, of their product; and where it is given what dy gains by the value, the derivative by that product. Of
 * the query are its largest score, one over its sum of exponentials, and Σ dy∘out.
 */
export function weightAndSlope(
  site: Site,
  operands: readonly Node[],
  index: readonly Index[],
  product: Expr,
  gained: Expr | undefined,
  [largest, share, spent]: readonly Expr[],
): { weight: Expr; slope?: Expr } {
  const { b, inline } = site;
  const scaled = scaledScore(site, product);
  const score = adjustScore(site, scaled, index, operands);
  const weight = b.bind('p', b.binary('*', b.call('exp', [b.binary('-', score, largest)]), share));
  if (!gained) return { weight };
  const free = b.binary('*', b.binary('*', weight, scoreSlope(site, scaled)), b.binary('-', gained, spent));
  const { mask } = scoreOperands(operands, (node) => node.type.dtype);
  if (!mask) return { weight, slope: b.bind('slope', free) };
  const holds = inline.value(mask, broadcastIndex(index, mask.type.shape));
  return { weight, slope: b.bind('slope', b.call('select', [b.literal(0, 'f32'), free, holds])) };
}
