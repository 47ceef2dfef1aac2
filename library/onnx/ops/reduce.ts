/** Reductions along axes, and where the largest are. */
import { abs, argmax, argmin, cumsum, flip, logSumExp, topK, type Tensor } from '../../../compiler/dsl/index.ts';
import type { Call, Made, Op, Ops } from '../call.ts';

interface Reduction {
  readonly call: Call;
  readonly x: Tensor;
  readonly axes: number[];
}

/** A reduction; `since` is the version from which on its axes are an operand. */
const over =
  (since: number, of: (reduction: Reduction) => Tensor): Op =>
  (call) => {
    const x = call.tensor();
    const given = call.numbersSince(since, 1, 'axes');
    const mayBeNone = call.int('noop_with_empty_axes', 0) !== 0;
    const keeps = call.int('keepdims', 1) !== 0;
    if (!given?.length && mayBeNone) return x;
    const axes = given?.length ? given.map((axis) => call.axis(axis, x.rank)) : x.shape.map((_, i) => i);
    const kept = of({ call, x, axes });
    if (keeps) return kept;
    return kept.reshape(...x.shape.filter((_, i) => !axes.includes(i)));
  };

const keepDims = { keepDims: true } as const;
const sum = ({ x, axes }: Reduction): Tensor => x.sum(axes, keepDims);

/** Products of all, one by one: for the few sizes of a shape. */
const product = ({ call, x, axes }: Reduction): Tensor =>
  axes.reduce((y, axis) => y.split(call.table(y.shape[axis]), axis).reduce((a, b) => a.mul(b)), x);

const flag = (name: 'max' | 'min') => (call: Call) => {
  return over(18, ({ x, axes }) =>
    x.dtype === 'bool' ? x[name === 'max' ? 'any' : 'all'](axes, keepDims) : x[name](axes, keepDims),
  )(call);
};

const chosen =
  (of: (x: Tensor, axis: number) => Tensor): Op =>
  (call) => {
    const x = call.tensor();
    const axis = call.axis(call.int('axis', 0), x.rank);
    // Of several that are equal, the last is the first from behind.
    const place = call.int('select_last_index', 0)
      ? of(flip(x, axis), axis)
          .neg()
          .add(x.shape[axis] - 1)
      : of(x, axis);
    return call.int('keepdims', 1) ? place.unsqueeze(axis) : place;
  };

function largest(call: Call): Made[] {
  const x = call.tensor();
  const axis = call.axis(call.int('axis', -1), x.rank);
  const count = call.version < 10 ? call.int('k') : call.number(1, 'count');
  if (count === undefined) throw call.damaged('it has no count');
  if (call.int('largest', 1)) return topK(x, count, axis);
  const [values, places] = topK(x.neg(), count, axis);
  return [values.neg(), places];
}

function runningSum(call: Call): Tensor {
  const x = call.tensor();
  const axis = call.axis(call.number(1, 'axis') ?? 0, x.rank);
  const turned = call.int('reverse', 0) ? (y: Tensor) => flip(y, axis) : (y: Tensor) => y;
  const summed = turned(cumsum(turned(x), axis));
  return call.int('exclusive', 0) ? summed.sub(x) : summed;
}

export const reduce: Ops = {
  ReduceSum: over(13, sum),
  ReduceMean: over(18, ({ x, axes }) => x.mean(axes, keepDims)),
  ReduceMax: flag('max'),
  ReduceMin: flag('min'),
  ReduceProd: over(18, product),
  ReduceL1: over(18, ({ x, axes }) => abs(x).sum(axes, keepDims)),
  ReduceL2: over(18, ({ x, axes }) => x.square().sum(axes, keepDims).sqrt()),
  ReduceSumSquare: over(18, ({ x, axes }) => x.square().sum(axes, keepDims)),
  ReduceLogSum: over(18, (reduction) => sum(reduction).log()),
  ReduceLogSumExp: over(18, ({ x, axes }) => {
    if (axes.length === 1) return logSumExp(x, axes[0], keepDims);
    const largest = x.max(axes, keepDims);
    return x.sub(largest).exp().sum(axes, keepDims).log().add(largest);
  }),
  ArgMax: chosen(argmax),
  ArgMin: chosen(argmin),
  TopK: largest,
  CumSum: runningSum,
};
