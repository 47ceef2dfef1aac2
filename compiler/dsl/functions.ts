/** Functions of tensors that read better outside the method chain. */
import { currentTrace } from './trace.ts';
import { constant, iota, Tensor, type Operand } from './tensor.ts';

const f = () => currentTrace().f;
const unary = (op: string) => (x: Tensor) => new Tensor(f().unary(op, x.node));

/** x·sigmoid(x). */
export const silu = unary('silu');
/** ½x(1+tanh(√(2/π)(x+0.044715x³))), the tanh form. */
export const gelu = unary('gelu');
/** ½x(1+erf(x/√2)). */
export const geluExact = (x: Tensor) => x.mul(0.5).mul(erf(x.mul(Math.SQRT1_2)).add(1));
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
export const isFinite = unary('is_finite');
/** Whether x is NaN: bool. */
export const isNaN = unary('is_nan');
/** max(x, 0); its gradient at 0 is 0. */
export const relu = unary('relu');

/** Softmax over the last axis. */
export const softmax = unary('softmax');

/** (x − mean)/√(var + eps) over the last axis, without an affine part; eps is DiT's 1e-6 unless told. */
export const layerNorm = (x: Tensor, eps = 1e-6) => new Tensor(f().op('layer_norm', [x.node], { eps }));

/** x/√(mean(x²) + eps) over the last axis. Zhang & Sennrich 2019. */
export const rmsNorm = (x: Tensor, eps = 1e-6) => x.mul(x.square().mean(-1, { keepDims: true }).add(eps).rsqrt());

/** x·Wᵀ + b: x […, k], W [n, k], b [n]. */
export const linear = (x: Tensor, weight: Tensor, bias?: Tensor) =>
  new Tensor(f().op('linear', bias ? [x.node, weight.node, bias.node] : [x.node, weight.node]));

/** Joins tensors along an axis that they have, the last unless told. */
export const concat = (xs: Tensor[], axis = -1) =>
  new Tensor(
    f().concat(
      xs.map((x) => x.node),
      axis < 0 ? axis + xs[0].rank : axis,
    ),
  );

/** Joins tensors of one shape along a new axis. */
export const stack = (xs: Tensor[], axis = 0) =>
  concat(
    xs.map((x) => x.unsqueeze(axis)),
    axis,
  );

/** x where the condition (a bool tensor) holds, else y; all broadcast. */
export function where(condition: Tensor, x: Operand, y: Operand): Tensor {
  const dtype = [x, y].find((v) => v instanceof Tensor)?.dtype ?? 'f32';
  const [a, b] = [x, y].map((v) => (v instanceof Tensor ? v : constant(v, [], dtype)));
  return new Tensor(f().select(condition.node, a.node, b.node));
}

/** Where random numbers come from: a key and three counters (u32, broadcast together). Same values, same numbers. */
export interface RandomSource {
  readonly key: readonly [Tensor, Tensor];
  readonly counter: readonly [Tensor, Tensor, Tensor];
}

const philox = ({ key, counter }: RandomSource, lane: number) =>
  new Tensor(
    f().op(
      'philox',
      [...key, ...counter].map((x) => x.node),
      { lane },
    ),
  );

/** U(0, 1], never 0: the top 24 bits of a Philox word, centred (float32 rounds the last of them up to 1). */
export function randomUniform(source: RandomSource, lane = 0): Tensor {
  const bits = f().op('shift_right', [philox(source, lane).node, f().constant(8, 'u32')]);
  return new Tensor(bits)
    .cast('f32')
    .add(0.5)
    .mul(2 ** -24);
}

/** N(0, 1) by Box & Muller 1958. */
export function randomNormal(source: RandomSource): Tensor {
  const radius = randomUniform(source, 0).log().mul(-2).sqrt();
  return radius.mul(cos(randomUniform(source, 1).mul(2 * Math.PI)));
}

/**
 * dloss/dx for each x: parameters, states or inputs. `loss` has one element. Zeros where the loss does not depend on x, or only
 * through integers, comparisons or `detach`.
 */
export const gradients = (loss: Tensor, xs: readonly Tensor[]): Tensor[] =>
  xs.map((x) => new Tensor(f().op('gradient', [loss.node, x.node])));

export { constant, iota };
