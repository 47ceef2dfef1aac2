/** Where the largest are, and which. */
import { formatShape } from '../ir/index.ts';
import { optional, takes, tensor, whole } from './arguments.ts';
import { iota } from './constants.ts';
import { isNaN, where } from './functions.ts';
import type { Tensor } from './tensor.ts';
import { axisOf, misuse } from './tensor.ts';
import { isFloat } from '../ir/index.ts';

const extreme = (name: string, kind: 'max' | 'min') =>
  takes(name, [tensor('x'), optional(whole('axis'))], (x: Tensor, axis = -1) => {
    const at = axisOf(axis, x.rank, formatShape(x.shape));
    const equal = x.eq(x[kind](at, { keepDims: true }));
    // The extreme of what has a NaN is NaN, and equals nothing.
    const hit = isFloat(x.dtype) ? equal.or(isNaN(x)) : equal;
    return where(hit, along(x, at), x.shape[at]).min(at);
  });

/** The place along an axis of the largest element, i32: of several the first, of a NaN its own. The axis (the last unless told) is dropped. */
export const argmax = extreme('argmax', 'max');
/** The place of the smallest element, as `argmax`. */
export const argmin = extreme('argmin', 'min');

/** Places along an axis. */
const along = ({ shape }: Tensor, at: number): Tensor =>
  iota(
    shape.map((n, i) => (i === at ? n : 1)),
    at,
    'i32',
  );

/**
 * The k largest elements along an axis (the last unless told) in falling order, and their places as i32: [values, indices]. Of equal
 * ones the first comes first, NaN before all. `topK(x, n)` sorts. Each element is compared with each other: for hundreds or a few thousand.
 */
export const topK = takes(
  'topK',
  [tensor('x'), whole('k', 1), optional(whole('axis'))],
  (x: Tensor, k: number, axis = -1): [values: Tensor, indices: Tensor] => {
    const at = axisOf(axis, x.rank, formatShape(x.shape));
    const n = x.shape[at];
    if (k > n)
      throw misuse(
        'topK: there are not so many',
        `k is ${k}, axis ${at} of ${formatShape(x.shape)}`,
        `give at most ${n}`,
      );
    const rows = x.transpose(at, -1);
    const rank = ranks(rows).unsqueeze(-1);
    const last = rows.rank;
    const isChosen = rank.eq(iota([k], 0, 'i32'));
    const chosen = (of: Tensor) =>
      where(isChosen, of, 0)
        .sum(last - 1)
        .transpose(at, -1);
    return [chosen(rows.unsqueeze(-1)), chosen(iota([n, 1], 0, 'i32'))];
  },
);

/** How many elements of its row come before each: those that are larger, and of equal ones the earlier. */
function ranks(x: Tensor): Tensor {
  const [own, other] = [x.unsqueeze(-1), x.unsqueeze(-2)];
  const n = x.shape[x.rank - 1];
  const isEarlier = iota([1, n], 1, 'i32').lt(iota([n, 1], 0, 'i32'));
  const before = isFloat(x.dtype) ? beforeFloat(own, other, isEarlier) : other.gt(own).or(other.eq(own).and(isEarlier));
  return before.cast('i32').sum(-1);
}

function beforeFloat(own: Tensor, other: Tensor, isEarlier: Tensor): Tensor {
  const [ownNaN, otherNaN] = [isNaN(own), isNaN(other)];
  const isEqual = other.eq(own).or(otherNaN.and(ownNaN));
  const isLarger = other.gt(own).or(otherNaN.and(ownNaN.not()));
  return isLarger.or(isEqual.and(isEarlier));
}
