/**
 * A DiT block as Lumina and LightningDiT have it (Yao et al. 2025): queries and keys are normalised per head and rotated by their
 * position (Henry et al. 2020, Su et al. 2021), and the MLP is gated (Shazeer 2020).
 */
import {
  defineModel,
  ones,
  rmsNorm,
  silu,
  softmax,
  zeros,
  type Scope,
  type Tensor,
} from '../../../compiler/dsl/index.ts';
import { rotary } from './gpt.ts';

export const rotaryDitConfig = { tokens: 18, d: 64, heads: 4, depth: 2 };

const scaled = (p: Scope, x: Tensor) => rmsNorm(x).mul(p.param('weight', [x.shape[x.rank - 1]], ones));

export function rotaryBlock(p: Scope, x: Tensor, c: Tensor, heads: number): Tensor {
  const [N, T, d] = x.shape;
  const hd = d / heads;
  const parts = p
    .linear('adaLN', silu(c), 6 * d, { init: zeros })
    .unsqueeze(1)
    .split(6);
  const [shiftA, scaleA, gateA, shiftM, scaleM, gateM] = parts;
  const modulated = scaled(p.at('norm1'), x).mul(scaleA.add(1)).add(shiftA);
  const qkv = p.linear('qkv', modulated, 3 * d).reshape(N, T, 3, heads, hd);
  const [q, k, v] = qkv.permute(2, 0, 3, 1, 4).unstack();
  const [turnedQ, turnedK] = [rotary(scaled(p.at('q_norm'), q)), rotary(scaled(p.at('k_norm'), k))];
  const mixed = softmax(turnedQ.matmul(turnedK.transpose()).mul(hd ** -0.5)).matmul(v);
  const y = x.add(gateA.mul(p.linear('proj', mixed.transpose(1, 2).reshape(N, T, d), d)));
  const inner = scaled(p.at('norm2'), y).mul(scaleM.add(1)).add(shiftM);
  const gated = silu(p.linear('w1', inner, 2 * d)).mul(p.linear('w3', inner, 2 * d));
  return y.add(gateM.mul(p.linear('w2', gated, d)));
}

export const rotaryDit = (config: Partial<typeof rotaryDitConfig> = {}) => {
  const cfg = { ...rotaryDitConfig, ...config };
  return defineModel({
    config: cfg,
    entries: {
      forward(e) {
        let x = e.input('x', [e.batch, cfg.tokens, cfg.d]);
        const c = e.input('c', [e.batch, cfg.d]);
        for (let i = 0; i < cfg.depth; i++) x = rotaryBlock(e.params.at('blocks', i), x, c, cfg.heads);
        return { x };
      },
    },
  });
};
