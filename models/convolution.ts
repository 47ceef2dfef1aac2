/** Layers of convolutional networks, with their parameters. Pictures are [N,C,H,W]. */
import {
  constant,
  conv2d as convolved,
  groupNorm as normed,
  ones,
  uniform,
  windows,
  zeros,
  type ConvOptions as DslConvOptions,
  type Init,
  type Pair,
  type Scope,
  type Tensor,
} from '../compiler/dsl/index.ts';

export interface ConvOptions {
  stride?: Pair;
  dilation?: Pair;
  /** Zeros around the picture, of both axes or each; unless told, as many as leave a stride of 1 the size. */
  padding?: DslConvOptions['padding'];
  bias?: boolean;
}

/** The size of a window: a square's side, or both sides. */
export type Kernel = number | readonly [height: number, width: number];

const sidesOf = (kernel: Kernel): readonly [number, number] => (typeof kernel === 'number' ? [kernel, kernel] : kernel);

/** Names and starts of PyTorch's Conv2d: `weight` [out,C,h,w] and `bias` [out], both U(±1/√(C·h·w)). */
export function conv2d(p: Scope, x: Tensor, out: number, kernel: Kernel, options: ConvOptions = {}): Tensor {
  const C = x.shape[1];
  const [h, w] = sidesOf(kernel);
  const init = uniform((C * h * w) ** -0.5);
  const weight = p.param('weight', [out, C, h, w], init);
  const bias = (options.bias ?? true) ? p.param('bias', [out], init) : undefined;
  const { padding = 'same', stride, dilation } = options;
  return convolved(x, weight, bias, { stride, dilation, padding });
}

/** (x − mean)/√(var + eps) over each of `groups` groups of channels, with an affine part per channel. Wu & He 2018. */
export function groupNorm(p: Scope, x: Tensor, groups: number, eps = 1e-6): Tensor {
  const [, C, ...plane] = x.shape;
  const each = plane.map(() => 1);
  const scaled = normed(x, groups, eps).mul(p.param('weight', [C], ones).reshape(C, ...each));
  return scaled.add(p.param('bias', [C]).reshape(C, ...each));
}

/** x as a trained network normalises it, by running statistics, with an affine part: PyTorch's BatchNorm2d in `eval`. */
export function batchNorm(p: Scope, x: Tensor, eps = 1e-5): Tensor {
  const C = x.shape[1];
  const each = (name: string, init: Init, frozen = false) => p.param(name, [C], init, { frozen }).reshape(C, 1, 1);
  const [mean, variance] = [each('running_mean', zeros, true), each('running_var', ones, true)];
  const scale = each('weight', ones).mul(variance.add(eps).rsqrt());
  return x.sub(mean).mul(scale).add(each('bias', zeros));
}

/** The largest of each window, without a rim unless told: the rim is never the largest. */
export const maxPool = (x: Tensor, kernel: Kernel, options: ConvOptions = {}): Tensor =>
  windows(x, sidesOf(kernel), options, LOWEST).max([4, 5]);

/** The mean of each window, counting pixels of the picture alone, not of the rim. */
export function avgPool(x: Tensor, kernel: Kernel, options: ConvOptions = {}): Tensor {
  const same = { padding: 'same' as const, ...options };
  const sums = (of: Tensor) => windows(of, sidesOf(kernel), same).sum([4, 5]);
  return sums(x).div(sums(constant(1, [1, 1, ...x.shape.slice(2)])));
}

/** Of float32. */
const LOWEST = -3.4028234663852886e38;
