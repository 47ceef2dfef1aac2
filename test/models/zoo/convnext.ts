/** ConvNeXt's block (Liu et al. 2022) with layer scale, channels last for the MLP; `excite` puts squeeze-and-excitation (Hu et al. 2018) in it. */
import {
  defineModel,
  fixed,
  gelu,
  layerNorm,
  ones,
  relu,
  sigmoid,
  type Scope,
  type Tensor,
} from '../../../compiler/dsl/index.ts';
import { conv } from './conv.ts';

export const convnextConfig = { size: 6, channels: 16, depth: 2, excite: false };

/** How much of each channel passes, from all of the picture. */
function excitation(p: Scope, x: Tensor): Tensor {
  const [N, C] = x.shape;
  const squeezed = x.mean([2, 3]);
  return sigmoid(p.linear('fc2', relu(p.linear('fc1', squeezed, C / 4)), C)).reshape(N, C, 1, 1);
}

export function convnextBlock(p: Scope, x: Tensor, excite: boolean): Tensor {
  const C = x.shape[1];
  const mixed = conv(p.at('dwconv'), x, C, 7, { groups: C }).permute(0, 2, 3, 1);
  const inner = layerNorm(mixed)
    .mul(p.param('norm.weight', [C], ones))
    .add(p.param('norm.bias', [C]));
  const outer = p.linear('pwconv2', gelu(p.linear('pwconv1', inner, 4 * C)), C);
  const y = outer.mul(p.param('gamma', [C], fixed(new Float32Array(C).fill(0.1)))).permute(0, 3, 1, 2);
  return x.add(excite ? y.mul(excitation(p.at('se'), y)) : y);
}

export const convnext = (config: Partial<typeof convnextConfig> = {}) => {
  const cfg = { ...convnextConfig, ...config };
  return defineModel({
    config: cfg,
    entries: {
      forward(e) {
        let x = e.input('x', [e.batch, cfg.channels, cfg.size, cfg.size]);
        for (let i = 0; i < cfg.depth; i++) x = convnextBlock(e.params.at('blocks', i), x, cfg.excite);
        return { x };
      },
    },
  });
};
