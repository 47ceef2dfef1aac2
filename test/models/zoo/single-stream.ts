/**
 * The single-stream block of FLUX.1 (Black Forest Labs 2024): text and picture as one sequence, attention beside the MLP, queries and keys
 * normalised and then turned by positions along three axes.
 */
import {
  concat,
  cos,
  defineModel,
  exp,
  gelu,
  iota,
  layerNorm,
  ones,
  rmsNorm,
  silu,
  sin,
  softmax,
  stack,
  type Scope,
  type Tensor,
} from '../../../compiler/dsl/index.ts';

export const singleStreamConfig = {
  ...{ words: 5, rows: 3, columns: 5, d: 72, heads: 3, hidden: 100, depth: 2 },
  /** Elements of a head that turn by each axis: the place among others like it, the row, the column. */
  axes: [4, 10, 10],
};

type Turns = readonly [cos: Tensor, sin: Tensor];

/** By how much each pair of a head turns at each token; words stand at (0, 0, 0). */
function turnsOf({ words, rows, columns, axes }: typeof singleStreamConfig): Turns {
  const pixel = iota([rows * columns], 0, 'i32');
  const places = [pixel.mul(0), pixel.div(columns), pixel.rem(columns)];
  const angles = places.map((place, i) => {
    const pairs = axes[i] / 2;
    const at = place.cast('f32').pad([words], [0]).unsqueeze(1);
    return at.mul(exp(iota([pairs]).mul(-Math.log(10000) / pairs)));
  });
  const all = concat(angles, 1);
  return [cos(all), sin(all)];
}

function turned(x: Tensor, [c, s]: Turns): Tensor {
  const [a, b] = x.reshape(...x.shape.slice(0, -1), -1, 2).unstack(-1);
  return stack([a.mul(c).sub(b.mul(s)), a.mul(s).add(b.mul(c))], -1).reshape(...x.shape);
}

function block(p: Scope, x: Tensor, c: Tensor, turns: Turns, { heads, hidden }: typeof singleStreamConfig): Tensor {
  const [N, T, d] = x.shape;
  const hd = d / heads;
  const [shift, scale, gate] = p
    .linear('modulation.lin', silu(c), 3 * d)
    .unsqueeze(1)
    .split(3);
  const inner = p.linear('linear1', layerNorm(x).mul(scale.add(1)).add(shift), 3 * d + hidden);
  const [qkv, mlp] = inner.split([3 * d, hidden]);
  const [q, k, v] = qkv.reshape(N, T, 3, heads, hd).permute(2, 0, 3, 1, 4).unstack();
  const placed = (name: string, y: Tensor) => turned(rmsNorm(y).mul(p.param(`norm.${name}`, [hd], ones)), turns);
  const scores = placed('query_norm.scale', q).matmul(placed('key_norm.scale', k).transpose());
  const mixed = softmax(scores.mul(hd ** -0.5)).matmul(v);
  const both = concat([mixed.transpose(1, 2).reshape(N, T, d), gelu(mlp)]);
  return x.add(gate.mul(p.linear('linear2', both, d)));
}

export const singleStream = (config: Partial<typeof singleStreamConfig> = {}) => {
  const cfg = { ...singleStreamConfig, ...config };
  return defineModel({
    config: cfg,
    entries: {
      forward(e) {
        let x = e.input('x', [e.batch, cfg.words + cfg.rows * cfg.columns, cfg.d]);
        const c = e.input('c', [e.batch, cfg.d]);
        const turns = turnsOf(cfg);
        for (let i = 0; i < cfg.depth; i++) x = block(e.params.at('single_blocks', i), x, c, turns, cfg);
        return { x };
      },
    },
  });
};
