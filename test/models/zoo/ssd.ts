/**
 * State space duality, Mamba 2's layer: Dao & Gu 2024, as its matrix form. A gated linear recurrence h ← a·h + B·x, y = C·h is a
 * masked product of C and B, decayed by the a's between, with x.
 */
import {
  defineModel,
  exp,
  iota,
  log,
  ones,
  rmsNorm,
  silu,
  where,
  type Scope,
  type Tensor,
} from '../../../compiler/dsl/index.ts';

export const ssdConfig = { tokens: 16, d: 32, heads: 4, state: 8, depth: 2 };

const softplus = (x: Tensor) => log(exp(x).add(1));

/** A causal convolution over the tokens, each channel on its own: [N,T,c]. */
function causalConv(p: Scope, x: Tensor, k: number): Tensor {
  const c = x.shape[2];
  const windows = x.pad([0, k - 1, 0], [0, 0, 0]).unfold(1, k);
  return windows
    .mul(p.param('weight', [c, k], ones))
    .sum(-1)
    .add(p.param('bias', [c]));
}

export function ssdBlock(p: Scope, x: Tensor, cfg: typeof ssdConfig): Tensor {
  const [N, T, d] = x.shape;
  const { heads, state } = cfg;
  const inner = 2 * d;
  const all = p.linear('in_proj', rmsNorm(x).mul(p.param('norm.weight', [d], ones)), 2 * inner + 2 * state + heads, {
    bias: false,
  });
  const [z, xBC, dt] = [
    all.slice(2, 0, inner),
    all.slice(2, inner, 2 * inner + 2 * state),
    all.slice(2, 2 * inner + 2 * state),
  ];
  const mixed = silu(causalConv(p.at('conv'), xBC, 4));
  const [u, B, C] = [mixed.slice(2, 0, inner), mixed.slice(2, inner, inner + state), mixed.slice(2, inner + state)];
  const delta = softplus(dt.add(p.param('dt_bias', [heads]))).transpose();
  const decay = delta.mul(exp(p.param('A_log', [heads, 1])).neg());
  // Σ of the decays from j+1 to i: differences of running sums.
  const upTo = iota([T, T], 0, 'i32').ge(iota([T, T], 1, 'i32'));
  const running = decay.matmul(upTo.cast('f32').transpose());
  const between = running.unsqueeze(3).sub(running.unsqueeze(2));
  const mask = where(upTo, exp(between.minimum(0)), 0);
  const scores = C.matmul(B.transpose()).unsqueeze(1).mul(mask);
  const values = u.reshape(N, T, heads, inner / heads).transpose(1, 2);
  const fed = values.mul(delta.unsqueeze(3));
  const y = scores.matmul(fed).add(values.mul(p.param('D', [heads, 1, 1], ones)));
  const gated = y.transpose(1, 2).reshape(N, T, inner).mul(silu(z));
  return x.add(p.linear('out_proj', rmsNorm(gated).mul(p.param('out_norm.weight', [inner], ones)), d, { bias: false }));
}

export const ssd = (config: Partial<typeof ssdConfig> = {}) => {
  const cfg = { ...ssdConfig, ...config };
  return defineModel({
    config: cfg,
    entries: {
      forward(e) {
        let x = e.input('x', [e.batch, cfg.tokens, cfg.d]);
        for (let i = 0; i < cfg.depth; i++) x = ssdBlock(e.params.at('blocks', i), x, cfg);
        return { x };
      },
    },
  });
};
