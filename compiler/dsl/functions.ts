/** Functions of tensors that read better outside the method chain. */
import { formatShape, formatType } from '../ir/index.ts';
import {
  argument,
  finite,
  flag,
  kindOf,
  operand,
  optional,
  options,
  share,
  takes,
  tensor,
  tensors,
  whole,
  type Argument,
} from './arguments.ts';
import { constant, iota } from './constants.ts';
import { takeAlong } from './indexing.ts';
import { axisOf, misuse, Tensor, type Operand } from './tensor.ts';
import { currentTrace } from './trace.ts';

const f = () => currentTrace().f;
const ofOne = (name: string, of: (x: Tensor) => Tensor) => takes(name, [tensor('x')], of);
const unary = (name: string, op = name) => ofOne(name, (x) => new Tensor(f().unary(op, x.node)));

/** x·sigmoid(x). */
export const silu = unary('silu');
/** ½x(1+tanh(√(2/π)(x+0.044715x³))), the tanh form. */
export const gelu = unary('gelu');
/** ½x(1+erf(x/√2)). */
export const geluExact = ofOne('geluExact', (x) => x.mul(0.5).mul(erf(x.mul(Math.SQRT1_2)).add(1)));
/** The error function. */
export const erf = unary('erf');
/** 1/(1 + e⁻ˣ). */
export const sigmoid = unary('sigmoid');
/** Hyperbolic tangent. */
export const tanh = unary('tanh');
/** eˣ. */
export const exp = unary('exp');
/** Natural logarithm. */
export const log = unary('log');
/** √x. */
export const sqrt = unary('sqrt');
/** Sine, of radians. */
export const sin = unary('sin');
/** Cosine, of radians. */
export const cos = unary('cos');
/** |x|. */
export const abs = unary('abs');
/** The largest whole number that is not above x. */
export const floor = unary('floor');
/** Whether x is neither infinite nor NaN: bool. */
export const isFinite = unary('isFinite', 'is_finite');
/** Whether x is NaN: bool. */
export const isNaN = unary('isNaN', 'is_nan');
/** max(x, 0); its gradient at 0 is 0. */
export const relu = unary('relu');

/** log(1 + eˣ). */
export const softplus = unary('softplus');

/** Softmax over the last axis. */
export const softmax = unary('softmax');

/** log Σ eˣ over an axis, the last unless told, which is dropped unless keepDims; −∞ where all of it is −∞. */
export const logSumExp = takes(
  'logSumExp',
  [tensor('x'), optional(whole('axis')), options('options', [flag('keepDims')])],
  (x: Tensor, axis = -1, { keepDims }: { keepDims?: boolean } = {}) => {
    const at = axisOf(axis, x.rank, formatShape(x.shape));
    const largest = x.max(at, { keepDims: true }).detach();
    const shift = where(isFinite(largest), largest, 0);
    const sum = x.sub(shift).exp().sum(at, { keepDims: true }).log().add(shift);
    return keepDims ? sum : sum.squeeze(at);
  },
);

/**
 * −log softmax(x)[label] of each row: logits […, C] and labels […] of i32 give […]; take its mean for a loss. `labelSmoothing` gives
 * that share of the label's weight to all classes alike. Szegedy et al. 2016.
 */
export const crossEntropy = takes(
  'crossEntropy',
  [tensor('logits'), tensor('labels'), options('options', [share('labelSmoothing')])],
  (logits: Tensor, labels: Tensor, { labelSmoothing = 0 }: { labelSmoothing?: number } = {}) => {
    const rows = logits.shape.slice(0, -1);
    if (formatShape(rows) !== formatShape(labels.shape)) {
      const why = `logits are ${formatShape(logits.shape)}, labels ${formatShape(labels.shape)}`;
      throw misuse(
        'crossEntropy: there is not one label a row',
        why,
        'give labels the shape of the logits without its last axis',
      );
    }
    const own = takeAlong(logits, labels.unsqueeze(-1)).squeeze(-1);
    const smooth = labelSmoothing ? own.mul(1 - labelSmoothing).add(logits.mean(-1).mul(labelSmoothing)) : own;
    return logSumExp(logits).sub(smooth);
  },
);

const NORMED = [tensor('x'), optional(finite('eps', 0))];

/** (x − mean)/√(var + eps) over the last axis, without an affine part; eps is DiT's 1e-6 unless told. */
export const layerNorm = takes(
  'layerNorm',
  NORMED,
  (x: Tensor, eps = 1e-6) => new Tensor(f().op('layer_norm', [x.node], { eps })),
);

/** x/√(mean(x²) + eps) over the last axis. Zhang & Sennrich 2019. */
export const rmsNorm = takes('rmsNorm', NORMED, (x: Tensor, eps = 1e-6) =>
  x.mul(x.square().mean(-1, { keepDims: true }).add(eps).rsqrt()),
);

/**
 * (x − mean)/√(var + eps) over each of `groups` groups of channels, of x [N, C, …], without an affine part. Wu & He 2018; eps is
 * PyTorch's 1e-5 unless told.
 */
export const groupNorm = takes(
  'groupNorm',
  [tensor('x'), whole('groups', 1), optional(finite('eps', 0))],
  (x: Tensor, groups: number, eps = 1e-5) => {
    const [N, C, ...plane] = x.shape;
    if (x.rank < 2 || C % groups) {
      const fix = 'give [N, C, …] and a number that divides C';
      throw misuse('groupNorm: the channels are no such groups', `x is ${formatShape(x.shape)}, groups ${groups}`, fix);
    }
    const grouped = x.reshape(N, groups, C / groups, ...plane);
    const axes = grouped.shape.map((_, axis) => axis).slice(2);
    const centred = grouped.sub(grouped.mean(axes, { keepDims: true }));
    const variance = centred.square().mean(axes, { keepDims: true });
    return centred.mul(variance.add(eps).rsqrt()).reshape(...x.shape);
  },
);

/** x·Wᵀ + b: x […, k], W [n, k], b [n]. */
export const linear = takes(
  'linear',
  [tensor('x'), tensor('weight'), optional(tensor('bias'))],
  (x: Tensor, weight: Tensor, bias?: Tensor) =>
    new Tensor(f().op('linear', bias ? [x.node, weight.node, bias.node] : [x.node, weight.node])),
);

/** Joins tensors along an axis that they have, the last unless told. */
export const concat = takes('concat', [tensors('xs'), optional(whole('axis'))], (xs: Tensor[], axis = -1) => {
  const at = axisOf(axis, xs[0].rank, formatShape(xs[0].shape));
  return new Tensor(
    f().concat(
      xs.map((x) => x.node),
      at,
    ),
  );
});

/** Joins tensors of one shape along a new axis. */
export const stack = takes('stack', [tensors('xs'), optional(whole('axis'))], (xs: Tensor[], axis = 0) => {
  const other = xs.find((x) => formatShape(x.shape) !== formatShape(xs[0].shape));
  if (other) {
    const why = `${formatType(xs[0].node.type)} and ${formatType(other.node.type)}`;
    throw misuse('stack: the tensors have different shapes', why, 'broadcast or reshape them, or use concat');
  }
  return concat(
    xs.map((x) => x.unsqueeze(axis)),
    axis,
  );
});

/** x where the condition (a bool tensor) holds, else y; all broadcast. */
export const where = takes(
  'where',
  [tensor('condition'), operand('x'), operand('y')],
  (condition: Tensor, x: Operand, y: Operand) => {
    const dtype = [x, y].find((v) => v instanceof Tensor)?.dtype ?? 'f32';
    const [a, b] = [x, y].map((v) => (v instanceof Tensor ? v : constant(v, [], dtype)));
    return new Tensor(f().select(condition.node, a.node, b.node));
  },
);

/** Where random numbers come from: a key and three counters (u32, broadcast together). Same values, same numbers. */
export interface RandomSource {
  readonly key: readonly [Tensor, Tensor];
  readonly counter: readonly [Tensor, Tensor, Tensor];
}

const SOURCE: Argument = {
  name: 'source',
  expects: (value) => {
    const { key, counter } = (value ?? {}) as Partial<RandomSource>;
    const what = 'a source of random numbers, { key: [k0, k1], counter: [c0, c1, c2] } of u32 tensors';
    if (!Array.isArray(key) || !Array.isArray(counter) || key.length !== 2 || counter.length !== 3) return what;
    const wrong = [...key, ...counter].find((x: unknown) => tensor('').expects(x) ?? (x as Tensor).dtype !== 'u32');
    return wrong === undefined ? undefined : `${what}: one is ${wrong instanceof Tensor ? wrong.dtype : kindOf(wrong)}`;
  },
};

const philox = ({ key, counter }: RandomSource, lane: number) =>
  new Tensor(
    f().op(
      'philox',
      [...key, ...counter].map((x) => x.node),
      { lane },
    ),
  );

const LANE = argument('lane', '0, 1, 2 or 3', (value) => [0, 1, 2, 3].includes(value as number));

/** U(0, 1], never 0: the top 24 bits of a Philox word, centred (float32 rounds the last of them up to 1). */
export const randomUniform = takes('randomUniform', [SOURCE, optional(LANE)], (source: RandomSource, lane = 0) => {
  const bits = f().op('shift_right', [philox(source, lane).node, f().constant(8, 'u32')]);
  return new Tensor(bits)
    .cast('f32')
    .add(0.5)
    .mul(2 ** -24);
});

/** N(0, 1) by Box & Muller 1958. */
export const randomNormal = takes('randomNormal', [SOURCE], (source: RandomSource) => {
  const radius = randomUniform(source, 0).log().mul(-2).sqrt();
  return radius.mul(cos(randomUniform(source, 1).mul(2 * Math.PI)));
});

/**
 * dloss/dx for each x: parameters, states or inputs. `loss` has one element. Zeros where the loss does not depend on x, or only
 * through integers, comparisons or `detach`.
 */
export const gradients = takes(
  'gradients',
  [tensor('loss'), tensors('xs', 0)],
  (loss: Tensor, xs: readonly Tensor[]): Tensor[] =>
    xs.map((x) => {
      if (VARIABLES.has(x.node.op)) return new Tensor(f().op('gradient', [loss.node, x.node]));
      const why = `one is ${x.node.name ?? x.node.op}`;
      throw misuse(
        'gradients: xs must be parameters, states or inputs',
        why,
        'differentiate with respect to one of those',
      );
    }),
);
const VARIABLES = new Set(['param', 'state', 'input']);

export { constant, iota };
