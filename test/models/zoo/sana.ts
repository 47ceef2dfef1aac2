/**
 * The block of SANA (Xie et al. 2024) without its text: linear attention of ReLUs whose divisor is one more value, and a gated MLP with a
 * depthwise convolution in it.
 */
import {
  conv2d,
  defineModel,
  layerNorm,
  relu,
  silu,
  uniform,
  type Scope,
  type Tensor,
} from '../../../compiler/dsl/index.ts';

export const sanaConfig = { height: 5, width: 7, d: 60, heads: 3, hidden: 100, depth: 1 };

/** φ(q)·(φ(k)ᵀ·[v 1]) with tokens last, over its last row. x [N,T,d]. */
function attention(p: Scope, x: Tensor, heads: number): Tensor {
  const [N, T, d] = x.shape;
  const qkv = p.linear('qkv', x, 3 * d, { bias: false }).transpose();
  const [q, k, v] = qkv.reshape(N, 3, heads, d / heads, T).unstack(1);
  const state = v.pad([0, 0, 0, 0], [0, 0, 1, 0], 1).matmul(relu(k).transpose());
  const [mixed, total] = state.matmul(relu(q)).split([d / heads, 1], 2);
  return p.linear('proj', mixed.div(total.add(1e-15)).reshape(N, d, T).transpose(), d);
}

function mixFfn(p: Scope, x: Tensor, { height, width, hidden }: typeof sanaConfig): Tensor {
  const [N, T, d] = x.shape;
  const convolve = (q: Scope, y: Tensor, out: number, k: number, groups = 1) => {
    const each = y.shape[1] / groups;
    const weight = q.param('weight', [out, each, k, k], uniform((each * k * k) ** -0.5));
    return conv2d(y, weight, q.param('bias', [out]), { padding: (k - 1) / 2, groups });
  };
  const picture = x.transpose().reshape(N, d, height, width);
  const wide = silu(convolve(p.at('inverted_conv'), picture, 2 * hidden, 1));
  const [y, gate] = convolve(p.at('depth_conv'), wide, 2 * hidden, 3, 2 * hidden).split(2, 1);
  return convolve(p.at('point_conv'), y.mul(silu(gate)), d, 1)
    .reshape(N, d, T)
    .transpose();
}

export const sana = (config: Partial<typeof sanaConfig> = {}) => {
  const cfg = { ...sanaConfig, ...config };
  return defineModel({
    config: cfg,
    entries: {
      forward(e) {
        let x = e.input('x', [e.batch, cfg.height * cfg.width, cfg.d]);
        for (let i = 0; i < cfg.depth; i++) {
          const p = e.params.at('blocks', i);
          x = x.add(attention(p.at('attn'), layerNorm(x), cfg.heads));
          x = x.add(mixFfn(p.at('mlp'), layerNorm(x), cfg));
        }
        return { x };
      },
    },
  });
};
