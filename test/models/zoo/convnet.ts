/** Blocks of convolutional networks: ResNet's bottleneck (He et al. 2016) and MobileNetV3's (Howard et al. 2019). */
import { defineModel, ones, relu, sigmoid, silu, zeros, type Scope, type Tensor } from '../../../compiler/dsl/index.ts';
import { conv } from './conv.ts';

export const convnetConfig = { height: 11, width: 8, channels: 12, hidden: 8, out: 24 };

/** Batch norm as it is at inference: a scale and a shift per channel from the running moments. */
function batchNorm(p: Scope, x: Tensor, eps = 1e-5): Tensor {
  const shape = [x.shape[1], 1, 1];
  const scale = p.param('weight', shape, ones).mul(p.param('running_var', shape, ones).add(eps).rsqrt());
  return x
    .sub(p.param('running_mean', shape, zeros))
    .mul(scale)
    .add(p.param('bias', shape, zeros));
}

/** 1×1 down, 3×3 with stride 2, 1×1 up, and a strided 1×1 shortcut. */
function bottleneck(p: Scope, x: Tensor, hidden: number, out: number): Tensor {
  const bias = false;
  const a = relu(batchNorm(p.at('bn1'), conv(p.at('conv1'), x, hidden, 1, { bias })));
  const b = relu(batchNorm(p.at('bn2'), conv(p.at('conv2'), a, hidden, 3, { bias, step: 2 })));
  const c = batchNorm(p.at('bn3'), conv(p.at('conv3'), b, out, 1, { bias }));
  return relu(c.add(batchNorm(p.at('bn4'), conv(p.at('down'), x, out, 1, { bias, step: 2 }))));
}

/** Expand, dilated 5×5 per channel, squeeze and excite, project. */
function invertedResidual(p: Scope, x: Tensor, hidden: number): Tensor {
  const channels = x.shape[1];
  const expanded = silu(conv(p.at('expand'), x, hidden, 1));
  const spatial = silu(conv(p.at('depthwise'), expanded, hidden, 5, { groups: hidden, dilation: 2 }));
  const squeezed = spatial.mean([2, 3]);
  const gate = sigmoid(p.linear('excite', relu(p.linear('squeeze', squeezed, hidden / 4)), hidden));
  return x.add(conv(p.at('project'), spatial.mul(gate.unsqueeze(-1).unsqueeze(-1)), channels, 1));
}

export const convnet = (config: Partial<typeof convnetConfig> = {}) => {
  const cfg = { ...convnetConfig, ...config };
  const input = (e: { batch: number; input(name: string, shape: number[]): Tensor }) =>
    e.input('x', [e.batch, cfg.channels, cfg.height, cfg.width]);
  return defineModel({
    config: cfg,
    entries: {
      forward(e) {
        return {
          y: invertedResidual(e.params.at('ir'), bottleneck(e.params.at('res'), input(e), cfg.hidden, cfg.out), 32),
        };
      },
      bottleneck: (e) => ({ y: bottleneck(e.params.at('res'), input(e), cfg.hidden, cfg.out) }),
      invertedResidual: (e) => ({ y: invertedResidual(e.params.at('ir'), input(e), 32) }),
    },
  });
};
