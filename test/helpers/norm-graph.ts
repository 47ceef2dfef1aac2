/** A group norm between two products, as the layers of a convolutional network have it. */
import type { Node } from '../../compiler/ir/index.ts';
import type { Functional } from '../../compiler/ops/index.ts';

export interface NormCase {
  readonly batch?: number;
  readonly channels?: number;
  readonly groups?: number;
  readonly places?: number;
  /** The mean of the values, of which the deviation is about one. */
  readonly mean?: number;
  /** Rows of the first product are places, as a linear layer has them, and not channels. */
  readonly byPlaces?: boolean;
  /** The values are read once more. */
  readonly residual?: boolean;
  /** So is what is made of the statistics. */
  readonly shared?: boolean;
}

/** W₂·silu(groupNorm(W₁·x + b)): a layer over channels, twice. */
export function normedLayers(
  f: Functional,
  input: (name: string, shape: readonly number[]) => Node,
  { batch = 1, channels = 64, groups = 4, places = 128, mean = 0, byPlaces, residual, shared }: NormCase,
): Node[] {
  const [w, v, bias] = [input('w', [channels, 24]), input('v', [80, channels]), input('bias', [channels, 1])];
  const product = byPlaces
    ? f.transpose(f.matmul(input('x', [batch, places, 24]), f.transpose(w)))
    : f.matmul(w, input('x', [batch, 24, places]));
  const x = f.add(product, f.add(bias, mean));
  const grouped = f.reshape(x, [batch, groups, channels / groups, places]);
  const centred = f.sub(grouped, f.mean(grouped, [2, 3]));
  const deviation = f.rsqrt(f.add(f.mean(f.square(centred), [2, 3]), 1e-6));
  const normed = f.mul(f.reshape(f.mul(centred, deviation), [batch, channels, places]), input('scale', [channels, 1]));
  const y = f.matmul(v, f.op('silu', [f.add(normed, input('shift', [channels, 1]))]));
  return [y, ...(residual ? [f.exp(x)] : []), ...(shared ? [deviation] : [])];
}
