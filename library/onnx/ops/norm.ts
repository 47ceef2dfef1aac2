/** Normalisations, with their affine parts. */
import { groupNorm, layerNorm, rmsNorm, where, type Tensor } from '../../../compiler/dsl/index.ts';
import type { Call, Ops } from '../call.ts';

/** [C] along the second axis of a tensor of as many axes as x. */
const perChannel = (of: Tensor, x: Tensor): Tensor => of.reshape(-1, ...Array<number>(Math.max(x.rank - 2, 0)).fill(1));

/** By running statistics, as of a trained network. */
function batchNorm(call: Call): Tensor {
  if (call.int('training_mode', 0))
    throw call.fail('it is in training mode', undefined, 'export the network after net.eval()');
  // Until version 9: each element of a channel had statistics of its own.
  if (!call.int('spatial', 1))
    throw call.fail('it normalises each element by itself (spatial = 0)', undefined, 'export it for opset 9 or later');
  const x = call.tensor();
  const [scale, bias, mean, variance] = [1, 2, 3, 4].map((i) => perChannel(call.tensor(i), x));
  const slope = scale.mul(variance.add(call.float('epsilon', 1e-5)).rsqrt());
  return x.sub(mean).mul(slope).add(bias);
}

const instanceNorm = (call: Call): Tensor => {
  const x = call.tensor();
  const [scale, bias] = [1, 2].map((i) => perChannel(call.tensor(i), x));
  return groupNorm(x, x.shape[1], call.float('epsilon', 1e-5)).mul(scale).add(bias);
};

/** Before version 21 the affine part is of groups, and then of channels. */
function groupNormalization(call: Call): Tensor {
  const x = call.tensor();
  const groups = call.int('num_groups', 0);
  if (groups < 1) throw call.damaged(`it has ${groups} groups`);
  const affine = (i: number) => {
    const given = call.tensor(i);
    if (call.version >= 21) return perChannel(given, x);
    const each = x.shape[1] / groups;
    return perChannel(given.unsqueeze(1).broadcastTo(groups, each).reshape(x.shape[1]), x);
  };
  const [scale, bias] = [affine(1), affine(2)];
  return groupNorm(x, groups, call.float('epsilon', 1e-5)).mul(scale).add(bias);
}

/** Normalises over all axes from `axis` on as one, by a norm of the last. */
function overLast(call: Call, norm: (rows: Tensor, eps: number) => Tensor): Tensor {
  const x = call.tensor();
  const axis = call.axis(call.int('axis', -1), x.rank);
  const length = x.shape.slice(axis).reduce((n, size) => n * size, 1);
  const normed = norm(x.reshape(...x.shape.slice(0, axis), length), call.float('epsilon', 1e-5)).reshape(...x.shape);
  const scaled = normed.mul(call.tensor(1));
  const bias = call.optional(2);
  return bias ? scaled.add(bias) : scaled;
}

/** The mean and 1/√(variance + ε), for those that take them. */
function statistics(call: Call): Tensor[] {
  if (call.outputs.length < 2) return [];
  const x = call.tensor();
  const axes = x.shape.map((_, i) => i).slice(call.axis(call.int('axis', -1), x.rank));
  const mean = x.mean(axes, { keepDims: true });
  const variance = x.sub(mean).square().mean(axes, { keepDims: true });
  return [mean, variance.add(call.float('epsilon', 1e-5)).rsqrt()];
}

/** x/‖x‖ along an axis, and 0 where all of x is. */
function lpNorm(call: Call): Tensor {
  const x = call.tensor();
  const axis = call.axis(call.int('axis', -1), x.rank);
  const power = call.int('p', 2);
  if (power !== 1 && power !== 2) throw call.damaged(`p is ${power}`, 'it is 1 or 2');
  const sized = power === 1 ? x.maximum(x.neg()) : x.square();
  const sum = sized.sum(axis, { keepDims: true });
  const norm = power === 1 ? sum : sum.sqrt();
  return x.div(where(norm.eq(0), 1, norm));
}

/** x/(k + α/n·Σ x²)^β, the sum over n channels around. Krizhevsky et al. 2012. */
function localResponse(call: Call): Tensor {
  const x = call.tensor();
  const size = call.int('size', 0);
  if (size < 1) throw call.damaged(`it is over ${size} channels`);
  const rim = (n: number) => x.shape.map((_, axis) => (axis === 1 ? n : 0));
  const before = Math.floor((size - 1) / 2);
  const squares = x.square().pad(rim(before), rim(size - 1 - before));
  const sum = squares.unfold(1, size).sum(-1);
  const scaled = sum.mul(call.float('alpha', 1e-4) / size).add(call.float('bias', 1));
  return x.div(scaled.pow(call.float('beta', 0.75)));
}

export const norm: Ops = {
  BatchNormalization: batchNorm,
  InstanceNormalization: instanceNorm,
  GroupNormalization: groupNormalization,
  LayerNormalization: (call) => [overLast(call, layerNorm), ...statistics(call)],
  RMSNormalization: (call) => overLast(call, rmsNorm),
  LpNormalization: lpNorm,
  LRN: localResponse,
};
