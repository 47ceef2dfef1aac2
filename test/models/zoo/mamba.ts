/** A Mamba that reads both ways, told by adaLN: Gu & Dao 2023, Zhu et al. 2024. Its state decays by what the token says. */
import {
  defineModel,
  exp,
  fixed,
  flip,
  ones,
  recurrence,
  rmsNorm,
  silu,
  softplus,
  uniform,
  type Scope,
  type Tensor,
} from '../../../compiler/dsl/index.ts';

export const mambaConfig = { tokens: 24, d: 16, expand: 2, state: 4, rank: 2, kernel: 4, depth: 1 };
type Config = typeof mambaConfig;

/** Each channel over the last tokens. */
function convolution(p: Scope, x: Tensor, k: number): Tensor {
  const d = x.shape[2];
  const windows = x.pad([0, k - 1, 0], [0, 0, 0]).unfold(1, k);
  return windows
    .mul(p.param('weight', [d, k], uniform(k ** -0.5)))
    .sum(-1)
    .add(p.param('bias', [d]));
}

function selectiveScan(p: Scope, x: Tensor, { rank, state }: Config): Tensor {
  const d = x.shape[2];
  const [step, B, C] = p.linear('x_proj', x, rank + 2 * state, { bias: false }).split([rank, state, state]);
  const delta = softplus(p.linear('dt_proj', step, d));
  const start = Array.from({ length: d * state }, (_, i) => Math.log(1 + (i % state)));
  const rate = exp(p.param('A_log', [d, state], fixed(start))).neg();
  const decay = exp(delta.unsqueeze(3).mul(rate)); // [N,T,d,state]
  const h = recurrence(decay, delta.mul(x).unsqueeze(3).mul(B.unsqueeze(2)), 1);
  return h
    .mul(C.unsqueeze(2))
    .sum(3)
    .add(x.mul(p.param('D', [d], ones)));
}

function mixer(p: Scope, x: Tensor, cfg: Config): Tensor {
  const [u, z] = p.linear('in_proj', x, 2 * cfg.expand * cfg.d, { bias: false }).split(2);
  const read = (way: Scope, from: Tensor) =>
    selectiveScan(way, silu(convolution(way.at('conv1d'), from, cfg.kernel)), cfg);
  const both = read(p.at('forward'), u).add(flip(read(p.at('backward'), flip(u, 1)), 1));
  return p.linear('out_proj', both.mul(silu(z)), cfg.d, { bias: false });
}

export const mamba = (config: Partial<Config> = {}) => {
  const cfg = { ...mambaConfig, ...config };
  return defineModel({
    config: cfg,
    entries: {
      forward(e) {
        let x = e.input('x', [e.batch, cfg.tokens, cfg.d]);
        const c = silu(e.input('c', [e.batch, cfg.d]));
        for (let i = 0; i < cfg.depth; i++) {
          const p = e.params.at('layers', i);
          const [shift, scale, gate] = p
            .linear('adaLN', c, 3 * cfg.d)
            .unsqueeze(1)
            .split(3);
          x = x.add(gate.mul(mixer(p, rmsNorm(x).mul(scale.add(1)).add(shift), cfg)));
        }
        return { x };
      },
    },
  });
};
