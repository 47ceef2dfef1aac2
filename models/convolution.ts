/**
 * Layers of convolutional networks as plain algebra: a convolution is a matrix product over the windows of a padded picture,
 * which nobody writes to memory. Pictures are [N,C,H,W].
 */
import { ones, uniform, type Scope, type Tensor } from '../compiler/dsl/index.ts';

export interface ConvOptions {
  stride?: number;
  dilation?: number;
  /** Zeros before and after both axes; enough for an output as large as the input unless told. */
  pad?: readonly [before: number, after: number];
  bias?: boolean;
}

/** Names and starts of PyTorch's Conv2d: `weight` [out,C,k,k] and `bias` [out], both U(±1/√(C·k²)). */
export function conv2d(p: Scope, x: Tensor, out: number, k: number, options: ConvOptions = {}): Tensor {
  const { stride = 1, dilation = 1 } = options;
  const [N, C] = x.shape;
  const reach = (k - 1) * dilation;
  const [before, after] = options.pad ?? [Math.floor(reach / 2), Math.ceil(reach / 2)];
  const init = uniform((C * k * k) ** -0.5);
  const weight = p.param('weight', [out, C, k, k], init).reshape(out, C * k * k);
  // [N,C,H,W,k,k]: the window of each place, then the columns of the product.
  const windows = x
    .pad([0, 0, before, before], [0, 0, after, after])
    .unfold(2, k, { step: stride, dilation })
    .unfold(3, k, { step: stride, dilation });
  const [, , H, W] = windows.shape;
  const columns = windows.permute(0, 1, 4, 5, 2, 3).reshape(N, C * k * k, H * W);
  const y = weight.matmul(columns);
  const biased = (options.bias ?? true) ? y.add(p.param('bias', [out], init).unsqueeze(1)) : y;
  return biased.reshape(N, out, H, W);
}

/** (x − mean)/√(var + eps) over each of `groups` groups of channels, with an affine part per channel. Wu & He 2018. */
export function groupNorm(p: Scope, x: Tensor, groups: number, eps = 1e-6): Tensor {
  const [N, C, ...plane] = x.shape;
  const each = plane.map(() => 1);
  const grouped = x.reshape(N, groups, C / groups, ...plane);
  const axes = grouped.shape.map((_, axis) => axis).slice(2);
  const centred = grouped.sub(grouped.mean(axes, { keepDims: true }));
  const variance = centred.square().mean(axes, { keepDims: true });
  const normed = centred.mul(variance.add(eps).rsqrt()).reshape(...x.shape);
  return normed.mul(p.param('weight', [C], ones).reshape(C, ...each)).add(p.param('bias', [C]).reshape(C, ...each));
}

/** Each pixel `factor`² times: nearest-neighbour upsampling. */
export function upsampleNearest(x: Tensor, factor = 2): Tensor {
  const [N, C, H, W] = x.shape;
  return x
    .reshape(N, C, H, 1, W, 1)
    .broadcastTo(N, C, H, factor, W, factor)
    .reshape(N, C, H * factor, W * factor);
}
