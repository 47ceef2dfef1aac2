/** What is carried along an axis. */
import { formatShape } from '../ir/index.ts';
import { optional, takes, tensor, whole } from './arguments.ts';
import { axisOf, misuse, Tensor } from './tensor.ts';
import { currentTrace } from './trace.ts';

const f = () => currentTrace().f;

/** Running sums along an axis, the last unless told: element i is the sum of those up to i. Sums of integers wrap around. */
export const cumsum = takes('cumsum', [tensor('x'), optional(whole('axis'))], (x: Tensor, axis = -1) => {
  const at = axisOf(axis, x.rank, formatShape(x.shape));
  return new Tensor(f().op('scan', [x.node], { axis: at }));
});

/**
 * hₜ = aₜ·hₜ₋₁ + xₜ along an axis, the last unless told, with 0 before the first: the recurrence of a linear state space, of a moving
 * average, of returns. a broadcasts to x. A thousand steps are as good as ten: nothing is unrolled.
 */
export const recurrence = takes(
  'recurrence',
  [tensor('a'), tensor('x'), optional(whole('axis'))],
  (a: Tensor, x: Tensor, axis = -1) => {
    const at = axisOf(axis, x.rank, formatShape(x.shape));
    if (a.rank > x.rank) {
      const why = `a is ${formatShape(a.shape)}, x ${formatShape(x.shape)}`;
      throw misuse('recurrence: a does not broadcast to x', why, 'give x all the axes that a has');
    }
    const factors = a.reshape(...Array<number>(x.rank - a.rank).fill(1), ...a.shape);
    return new Tensor(f().op('scan', [x.node, factors.node], { axis: at }));
  },
);
