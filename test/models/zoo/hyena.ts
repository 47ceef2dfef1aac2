/** Hyena: Poli et al. 2023. Long causal convolutions, whose filters a small network makes of positions, between gates. */
import {
  concat,
  cos,
  defineModel,
  exp,
  gelu,
  iota,
  layerNorm,
  ones,
  sin,
  type Scope,
  type Tensor,
} from '../../../compiler/dsl/index.ts';

export const hyenaConfig = { tokens: 18, d: 24, depth: 2, order: 2 };

/** A causal convolution over the tokens, each channel with its filter [k, d]. */
function along(x: Tensor, filter: Tensor): Tensor {
  const k = filter.shape[0];
  return x
    .pad([0, k - 1, 0], [0, 0, 0])
    .unfold(1, k)
    .mul(filter.transpose())
    .sum(-1);
}

/** Filters of a network of sines over positions, fading with the distance. */
function filters(p: Scope, T: number, d: number, order: number): Tensor[] {
  const t = iota([T, 1]).div(T);
  const turns = t.mul(
    iota([1, 4])
      .add(1)
      .mul(2 * Math.PI),
  );
  const h = p.linear('out', sin(p.linear('in', concat([t, sin(turns), cos(turns)]), 16)), order * d, { bias: false });
  return h.mul(exp(t.mul(-3))).split(order);
}

export function hyenaBlock(p: Scope, x: Tensor, order: number): Tensor {
  const [, T, d] = x.shape;
  const width = (order + 1) * d;
  const projected = p.linear('in_proj', layerNorm(x), width);
  const [v, ...gates] = along(projected, p.param('short.weight', [3, width], ones)).split(order + 1);
  const long = filters(p.at('filter'), T, d, order);
  const mixed = gates.reduce((y, gate, i) => gate.mul(along(y, long[i]).add(y.mul(p.param(`bias${i}`, [d])))), v);
  const y = x.add(p.linear('out_proj', mixed, d));
  return y.add(p.linear('fc2', gelu(p.linear('fc1', layerNorm(y), 2 * d)), d));
}

export const hyena = (config: Partial<typeof hyenaConfig> = {}) => {
  const cfg = { ...hyenaConfig, ...config };
  return defineModel({
    config: cfg,
    entries: {
      forward(e) {
        let x = e.input('x', [e.batch, cfg.tokens, cfg.d]);
        for (let i = 0; i < cfg.depth; i++) x = hyenaBlock(e.params.at('blocks', i), x, cfg.order);
        return { x };
      },
    },
  });
};
