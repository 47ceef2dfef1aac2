/** Swin's shifted-window block: Liu et al. 2021; `cosine` is version 2's attention (2022), with a learned temperature. */
import {
  concat,
  constant,
  defineModel,
  exp,
  fixed,
  gelu,
  iota,
  layerNorm,
  normal,
  softmax,
  where,
  type Scope,
  type Tensor,
} from '../../../compiler/dsl/index.ts';

export const swinConfig = { height: 6, width: 9, d: 32, heads: 4, window: 3, shift: 1, depth: 2, cosine: false };
type SwinConfig = typeof swinConfig;

const roll = (x: Tensor, axis: number, by: number): Tensor =>
  by ? concat([x.slice(axis, by), x.slice(axis, 0, by)], axis) : x;

/** [N,H,W,d] → [N, windows, w², d]. */
function partition(x: Tensor, w: number): Tensor {
  const [N, H, W, d] = x.shape;
  const tiles = x.reshape(N, H / w, w, W / w, w, d).permute(0, 1, 3, 2, 4, 5);
  return tiles.reshape(N, (H * W) / w ** 2, w * w, d);
}

function merge(x: Tensor, H: number, W: number, w: number): Tensor {
  const [N, , , d] = x.shape;
  return x
    .reshape(N, H / w, W / w, w, w, d)
    .permute(0, 1, 3, 2, 4, 5)
    .reshape(N, H, W, d);
}

/** One bias per head and offset, read from a table of (2w−1)² offsets: [h, w², w²]. */
function relativeBias(p: Scope, w: number, heads: number): Tensor {
  const table = p.param('relative_position_bias_table', [(2 * w - 1) ** 2, heads], normal(0.02));
  const place = (i: number) => [Math.floor(i / w), i % w];
  const offsets = Array.from({ length: w ** 4 }, (_, at) => {
    const [[y, x], [v, u]] = [place(Math.floor(at / w ** 2)), place(at % w ** 2)];
    return (y - v + w - 1) * (2 * w - 1) + (x - u + w - 1);
  });
  return table.gather(constant(offsets, [w * w, w * w], 'i32')).permute(2, 0, 1);
}

/** After the shift, windows at the far edges hold parts that are no neighbours: [windows, w², w²]. */
function shiftMask(cfg: SwinConfig): Tensor {
  const { height: H, width: W, window: w, shift } = cfg;
  const band = (n: number, axis: number) => {
    const i = iota([H, W], axis, 'i32');
    return i
      .ge(n - w)
      .cast('i32')
      .add(i.ge(n - shift).cast('i32'));
  };
  const regions = band(H, 0).mul(3).add(band(W, 1));
  const own = partition(regions.reshape(1, H, W, 1), w).reshape((H * W) / w ** 2, w * w);
  return where(own.unsqueeze(1).ne(own.unsqueeze(2)), -100, 0);
}

function windowAttention(p: Scope, x: Tensor, cfg: SwinConfig, shift: number): Tensor {
  const [N, windows, T, d] = x.shape;
  const { heads, window } = cfg;
  const qkv = p.linear('qkv', x, 3 * d).reshape(N, windows, T, 3, heads, d / heads);
  const [q, k, v] = qkv.permute(3, 0, 1, 4, 2, 5).unstack();
  const unit = (x: Tensor) => x.div(x.square().sum(-1, { keepDims: true }).add(1e-6).sqrt());
  const temperature = () =>
    exp(p.param('logit_scale', [heads, 1, 1], fixed(new Float32Array(heads).fill(2))).minimum(4));
  let scores = cfg.cosine
    ? unit(q).matmul(unit(k).transpose()).mul(temperature())
    : q.mul((d / heads) ** -0.5).matmul(k.transpose());
  scores = scores.add(relativeBias(p, window, heads));
  if (shift) scores = scores.add(shiftMask(cfg).unsqueeze(1));
  const mixed = softmax(scores).matmul(v).permute(0, 1, 3, 2, 4);
  return p.linear('proj', mixed.reshape(N, windows, T, d), d);
}

export const swin = (config: Partial<SwinConfig> = {}) => {
  const cfg = { ...swinConfig, ...config };
  const { height: H, width: W, window: w, d } = cfg;
  return defineModel({
    config: cfg,
    entries: {
      forward(e) {
        let x = e.input('x', [e.batch, H, W, d]);
        for (let i = 0; i < cfg.depth; i++) {
          const p = e.params.at('blocks', i);
          const shift = i % 2 ? cfg.shift : 0;
          const rolled = roll(roll(layerNorm(x), 1, shift), 2, shift);
          const attended = merge(windowAttention(p.at('attn'), partition(rolled, w), cfg, shift), H, W, w);
          x = x.add(roll(roll(attended, 1, shift && H - shift), 2, shift && W - shift));
          x = x.add(p.linear('mlp.fc2', gelu(p.linear('mlp.fc1', layerNorm(x), 4 * d)), d));
        }
        return { y: x };
      },
    },
  });
};
