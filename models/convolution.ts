/** Layers of convolutional networks, with their parameters. Pictures are [N,C,H,W]. */
import {
  constant,
  conv2d as convolved,
  groupNorm as normed,
  ones,
  uniform,
  zeros,
  type Init,
  type Scope,
  type Tensor,
} from '../compiler/dsl/index.ts';

export interface ConvOptions {
  stride?: number;
  dilation?: number;
  /** Zeros before and after both axes; enough for an output as large as the input (at stride 1) unless told. */
  pad?: readonly [before: number, after: number];
  bias?: boolean;
}

/** The size of a window: a square's side, or both sides. */
export type Kernel = number | readonly [height: number, width: number];

/** [N,C,H,W,h,w]: the window of each place, of the picture with a rim of `value`. */
function windowsOf(x: Tensor, kernel: Kernel, { stride = 1, dilation = 1, pad }: ConvOptions, value = 0): Tensor {
  const sides = typeof kernel === 'number' ? [kernel, kernel] : kernel;
  const rims = sides.map((side) => {
    const reach = (side - 1) * dilation;
    return pad ?? [Math.floor(reach / 2), Math.ceil(reach / 2)];
  });
  const [before, after] = [0, 1].map((end) => [0, 0, ...rims.map((rim) => rim[end])]);
  const padded = x.pad(before, after, value);
  const [h, w] = sides;
  return padded.unfold(2, h, { step: stride, dilation }).unfold(3, w, { step: stride, dilation });
}

/** Names and starts of PyTorch's Conv2d: `weight` [out,C,h,w] and `bias` [out], both U(±1/√(C·h·w)). */
export function conv2d(p: Scope, x: Tensor, out: number, kernel: Kernel, options: ConvOptions = {}): Tensor {
  const C = x.shape[1];
  const [h, w] = typeof kernel === 'number' ? [kernel, kernel] : kernel;
  const init = uniform((C * h * w) ** -0.5);
  const weight = p.param('weight', [out, C, h, w], init);
  const bias = (options.bias ?? true) ? p.param('bias', [out], init) : undefined;
  const { pad, stride, dilation } = options;
  return convolved(x, weight, bias, { stride, dilation, padding: pad ? [pad, pad] : 'same' });
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
  windowsOf(x, kernel, { pad: [0, 0], ...options }, LOWEST).max([4, 5]);

/** The mean of each window, counting pixels of the picture alone, not of the rim. */
export function avgPool(x: Tensor, kernel: Kernel, options: ConvOptions = {}): Tensor {
  const count = windowsOf(constant(1, [1, 1, ...x.shape.slice(2)]), kernel, options).sum([4, 5]);
  return windowsOf(x, kernel, options).sum([4, 5]).div(count);
}

/** Of float32. */
const LOWEST = -3.4028234663852886e38;
