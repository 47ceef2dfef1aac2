/** Activations, and what turns scores to shares. */
import {
  abs,
  gelu,
  geluExact,
  logSumExp,
  relu,
  sigmoid,
  silu,
  softmax,
  softplus,
  tanh,
  where,
  type Tensor,
} from '../../../compiler/dsl/index.ts';
import type { Call, Op, Ops } from '../call.ts';

/** An activation with one number, an attribute. */
const withAlpha =
  (alpha: number, of: (x: Tensor, alpha: number) => Tensor): Op =>
  (call) =>
    of(call.tensor(), call.float('alpha', alpha));

const expm1 = (x: Tensor): Tensor => x.minimum(0).exp().sub(1);

/** α(eˣ − 1) below 0. */
const elu = (x: Tensor, alpha: number): Tensor => where(x.gt(0), x, expm1(x).mul(alpha));

/** max(0, min(1, αx + β)). */
const hardSigmoid = (x: Tensor, alpha: number, beta: number): Tensor => x.mul(alpha).add(beta).clamp(0, 1);

/** The slope has one number for each channel, or for all. */
function prelu(call: Call): Tensor {
  const [x, slope] = [call.tensor(0), call.tensor(1)];
  return where(x.lt(0), x.mul(slope), x);
}

function clip(call: Call): Tensor {
  const bound = (i: number, name: string) => (call.version < 11 ? call.float(name) : call.optional(i));
  const [low, high] = [bound(1, 'min'), bound(2, 'max')];
  const least = low === undefined ? call.tensor() : call.tensor().maximum(low);
  return high === undefined ? least : least.minimum(high);
}

/** Before version 13, the axes from `axis` on are one. */
const alongRows =
  (of: (x: Tensor) => Tensor): Op =>
  (call) => {
    const x = call.tensor();
    const axis = call.axis(call.int('axis', call.version < 13 ? 1 : -1), x.rank);
    if (call.version < 13) {
      const rows = x.shape.slice(0, axis).reduce((n, size) => n * size, 1);
      return of(x.reshape(rows, -1)).reshape(...x.shape);
    }
    return axis === x.rank - 1 ? of(x) : of(x.transpose(axis, -1)).transpose(axis, -1);
  };

const SELU = { alpha: 1.6732632423543772, gamma: 1.0507009873554805 };

export const activation: Ops = {
  Relu: (call) => relu(call.tensor()),
  LeakyRelu: withAlpha(0.01, (x, alpha) => where(x.lt(0), x.mul(alpha), x)),
  PRelu: prelu,
  ThresholdedRelu: withAlpha(1, (x, alpha) => where(x.gt(alpha), x, 0)),
  Elu: withAlpha(1, elu),
  Celu: withAlpha(1, (x, alpha) => elu(x.div(alpha), 1).mul(alpha)),
  Selu: (call) => elu(call.tensor(), call.float('alpha', SELU.alpha)).mul(call.float('gamma', SELU.gamma)),
  Sigmoid: (call) => sigmoid(call.tensor()),
  HardSigmoid: (call) => hardSigmoid(call.tensor(), call.float('alpha', 0.2), call.float('beta', 0.5)),
  HardSwish: (call) => call.tensor().mul(hardSigmoid(call.tensor(), 1 / 6, 0.5)),
  Swish: withAlpha(1, (x, alpha) => (alpha === 1 ? silu(x) : x.mul(sigmoid(x.mul(alpha))))),
  Tanh: (call) => tanh(call.tensor()),
  Softplus: (call) => softplus(call.tensor()),
  Softsign: (call) => call.tensor().div(abs(call.tensor()).add(1)),
  Mish: (call) => call.tensor().mul(tanh(softplus(call.tensor()))),
  Gelu: (call) => (call.choice('approximate', ['none', 'tanh']) === 'tanh' ? gelu : geluExact)(call.tensor()),
  Clip: clip,
  Softmax: alongRows(softmax),
  LogSoftmax: alongRows((x) => x.sub(logSumExp(x, -1, { keepDims: true }))),
};
