/** Convolutions as plain algebra: windows of a padded picture, multiplied with the weights. Pictures are [N,C,H,W]. */
import { ones, uniform, type Scope, type Tensor } from '../../../compiler/dsl/index.ts';

export interface ConvOptions {
  step?: number;
  dilation?: number;
  /** Zeros before and after both axes; enough for output as large as input unless told. */
  pad?: readonly [before: number, after: number];
  groups?: number;
  bias?: boolean;
}

/** x [N,C,H,W], weight [O, C/groups, k, k] → [N,O,H',W']. */
export function conv(p: Scope, x: Tensor, out: number, k: number, options: ConvOptions = {}): Tensor {
  const { step = 1, dilation = 1, groups = 1 } = options;
  const reach = (k - 1) * dilation;
  const [before, after] = options.pad ?? [Math.floor(reach / 2), Math.ceil(reach / 2)];
  const [N, C] = x.shape;
  const inner = (C / groups) * k * k;
  const weight = p.param('weight', [out, C / groups, k, k], uniform(inner ** -0.5));
  const windows = x
    .pad([0, 0, before, before], [0, 0, after, after])
    .unfold(2, k, { step, dilation })
    .unfold(3, k, { step, dilation });
  const [, , H, W] = windows.shape;
  const columns = windows.reshape(N, groups, C / groups, H, W, k, k).permute(0, 1, 2, 5, 6, 3, 4);
  const product = weight.reshape(groups, out / groups, inner).matmul(columns.reshape(N, groups, inner, H * W));
  const y = product.reshape(N, out, H, W);
  return (options.bias ?? true) ? y.add(p.param('bias', [out, 1, 1], uniform(inner ** -0.5))) : y;
}

/** Group normalisation with its affine part: Wu & He 2018. */
export function groupNorm(p: Scope, x: Tensor, groups: number, eps = 1e-5): Tensor {
  const [N, C, H, W] = x.shape;
  const grouped = x.reshape(N, groups, (C / groups) * H * W);
  const centred = grouped.sub(grouped.mean(-1, { keepDims: true }));
  const scaled = centred.mul(centred.square().mean(-1, { keepDims: true }).add(eps).rsqrt());
  return scaled
    .reshape(N, C, H, W)
    .mul(p.param('weight', [C, 1, 1], ones))
    .add(p.param('bias', [C, 1, 1]));
}
