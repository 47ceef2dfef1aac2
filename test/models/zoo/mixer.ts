/** MLP-Mixer: Tolstikhin et al. 2021. One MLP over tokens, one over channels. */
import { defineModel, gelu, layerNorm, type Scope, type Tensor } from '../../../compiler/dsl/index.ts';

export const mixerConfig = { tokens: 35, inputs: 12, d: 40, tokenHidden: 24, channelHidden: 96, depth: 2, classes: 7 };

const mlp = (p: Scope, x: Tensor, hidden: number) =>
  p.linear('fc2', gelu(p.linear('fc1', x, hidden)), x.shape[x.rank - 1]);

export const mixer = (config: Partial<typeof mixerConfig> = {}) => {
  const cfg = { ...mixerConfig, ...config };
  return defineModel({
    config: cfg,
    entries: {
      forward(e) {
        let x = e.params.linear('stem', e.input('x', [e.batch, cfg.tokens, cfg.inputs]), cfg.d);
        for (let i = 0; i < cfg.depth; i++) {
          const p = e.params.at('blocks', i);
          x = x.add(mlp(p.at('tokens'), layerNorm(x).transpose(), cfg.tokenHidden).transpose());
          x = x.add(mlp(p.at('channels'), layerNorm(x), cfg.channelHidden));
        }
        return { logits: e.params.linear('head', layerNorm(x).mean(1), cfg.classes) };
      },
    },
  });
};
