/** gMLP: Liu et al. 2021. Half of the channels, mixed over tokens, gate the other half. */
import { defineModel, geluExact, layerNorm, normal, ones } from '../../../compiler/dsl/index.ts';

export const gmlpConfig = { tokens: 23, d: 32, hidden: 48, depth: 2 };

export const gmlp = (config: Partial<typeof gmlpConfig> = {}) => {
  const cfg = { ...gmlpConfig, ...config };
  return defineModel({
    config: cfg,
    entries: {
      forward(e) {
        let x = e.input('x', [e.batch, cfg.tokens, cfg.d]);
        for (let i = 0; i < cfg.depth; i++) {
          const p = e.params.at('blocks', i);
          const [u, v] = geluExact(p.linear('proj_in', layerNorm(x), 2 * cfg.hidden)).split(2);
          const spatial = p.param('spatial.weight', [cfg.tokens, cfg.tokens], normal(0.1));
          const mixed = spatial.matmul(layerNorm(v)).add(p.param('spatial.bias', [cfg.tokens, 1], ones));
          x = x.add(p.linear('proj_out', u.mul(mixed), cfg.d));
        }
        return { y: x };
      },
    },
  });
};
