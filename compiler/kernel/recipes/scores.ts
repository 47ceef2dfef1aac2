/** What both attention recipes do to a score before the softmax: bias, mask, and the bounds that keep it finite. */
import type { Node } from '../../ir/index.ts';
import { attrNumber, scoreOperands } from '../../ops/index.ts';
import type { Index } from '../index-map.ts';
import { broadcastIndex } from '../inline.ts';
import type { Expr } from '../ir.ts';
import type { Site } from './common.ts';

/** The score of a key that is not there: below every score, with room to subtract. */
export const LOWEST = -1e30;
/** Scores of hidden keys (−∞, the lowest float) are raised to this: a row that may see no key at all takes their mean. */
const HIDDEN = -1e29;

/** Whether the attention has a bias or a mask. */
export const isAdjusted = ({ region }: Site): boolean => region.anchor!.inputs.length > 3;

/** The scaled score at an index [...batch, row, key]: the bias added, and the fill where the mask does not hold. */
export function adjustScore(
  { b, inline, region }: Site,
  score: Expr,
  index: readonly Index[],
  operands: readonly Node[] = region.anchor!.inputs,
): Expr {
  const anchor = region.anchor!;
  const { bias, mask } = scoreOperands(operands, (node) => node.type.dtype);
  const at = (node: Node) => inline.value(node, broadcastIndex(index, node.type.shape));
  const biased = bias ? b.binary('+', score, at(bias)) : score;
  const fill = () => b.literal(attrNumber(anchor.attrs, 'fill'), 'f32');
  const filled = mask ? b.call('select', [fill(), biased, at(mask)]) : biased;
  if (!bias && !mask) return filled;
  // Not max: that might hide a NaN.
  const hidden = b.literal(HIDDEN, 'f32');
  const value = b.bind('score', filled);
  return b.call('select', [value, hidden, b.binary('<', value, hidden)]);
}
