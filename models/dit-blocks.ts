/** The blocks of a diffusion transformer. Letters in shapes: N batch, T tokens, d hidden size, h heads. */
import {
  gelu,
  layerNorm,
  normal,
  ones,
  rmsNorm,
  rotary,
  rotaryAngles,
  silu,
  softmax,
  where,
  zeros,
  type Scope,
  type Tensor,
} from '../compiler/dsl/index.ts';
import { gridOf, type DiTConfig } from './dit-config.ts';

/** x·(1+scale)+shift over tokens. x [N,T,d]; shift, scale [N,d]. Paper section 3.2. */
export const modulate = (x: Tensor, shift: Tensor, scale: Tensor) =>
  x.mul(scale.add(1).unsqueeze(1)).add(shift.unsqueeze(1));

/** The norm before a part of a block: without an affine part; RMSNorm with its weight. */
export function norm(p: Scope, name: string, x: Tensor, cfg: DiTConfig, eps = 1e-6): Tensor {
  if (cfg.norm !== 'rms') return layerNorm(x, eps);
  return rmsNorm(x).mul(p.at(name).param('weight', [x.shape[x.rank - 1]], ones));
}

/** softmax(q·kᵀ/√hd)·v in each head, then the heads side by side. q [N,h,T,hd]; k, v [N,h,S,hd] → [N,T,d]. Keys count where the mask holds. */
function attend(q: Tensor, k: Tensor, v: Tensor, mask?: Tensor): Tensor {
  const [N, h, T, hd] = q.shape;
  const scores = q.matmul(k.transpose()).mul(hd ** -0.5);
  const weights = softmax(mask ? where(mask, scores, -Infinity) : scores);
  return weights
    .matmul(v)
    .permute(0, 2, 1, 3)
    .reshape(N, T, h * hd);
}

/** Queries or keys [N,h,T,hd], normalised and turned where the model does so. */
function placed(p: Scope, name: string, x: Tensor, cfg: DiTConfig): Tensor {
  const hd = x.shape[3];
  let out = x;
  if (cfg.qkNorm && cfg.norm === 'rms') out = norm(p, name, out, cfg);
  else if (cfg.qkNorm)
    out = layerNorm(out, 1e-5)
      .mul(p.at(name).param('weight', [hd], ones))
      .add(p.at(name).param('bias', [hd]));
  return cfg.rope ? rotary(out, rotaryAngles(gridOf(cfg), hd), { pairs: 'neighbours' }) : out;
}

/** Multi-head self-attention, x [N,T,d]. Rows of `qkv.weight`: all of q, all of k, all of v; each by head. */
function selfAttention(p: Scope, x: Tensor, cfg: DiTConfig): Tensor {
  const [N, T, d] = x.shape;
  const { numHeads: heads } = cfg;
  const qkv = p.linear('qkv', x, 3 * d).reshape(N, T, 3, heads, d / heads);
  const [q, k, v] = qkv.permute(2, 0, 3, 1, 4).unstack();
  return p.linear('proj', attend(placed(p, 'q_norm', q, cfg), placed(p, 'k_norm', k, cfg), v), d);
}

/** Multi-head attention of x [N,T,d] to another sequence, context [N,S,d]. */
function crossAttention(p: Scope, x: Tensor, context: Tensor, heads: number): Tensor {
  const d = x.shape[2];
  const project = (name: string, from: Tensor) => {
    const [N, length] = from.shape;
    return p
      .linear(name, from, d)
      .reshape(N, length, heads, d / heads)
      .permute(0, 2, 1, 3);
  };
  return p.linear('proj', attend(project('q', x), project('k', context), project('v', context)), d);
}

/** The same to a sequence with a mask [N,S], by PixArt's names; it starts at zero. */
function sequenceAttention(p: Scope, x: Tensor, { tokens, mask }: Sequence, heads: number): Tensor {
  const [N, T, d] = x.shape;
  const S = tokens.shape[1];
  const q = p
    .linear('q_linear', x, d)
    .reshape(N, T, heads, d / heads)
    .permute(0, 2, 1, 3);
  const kv = p.linear('kv_linear', tokens, 2 * d).reshape(N, S, 2, heads, d / heads);
  const [k, v] = kv.permute(2, 0, 3, 1, 4).unstack();
  return p.linear('proj', attend(q, k, v, mask.reshape(N, 1, 1, S)), d, { init: zeros });
}

/** Two linears with a tanh-GELU between them, or SwiGLU's three. x [N,T,d]. */
function mlp(p: Scope, x: Tensor, cfg: DiTConfig): Tensor {
  const d = x.shape[2];
  const width = Math.floor(d * cfg.mlpRatio);
  if (cfg.mlp !== 'swiglu') return p.linear('fc2', gelu(p.linear('fc1', x, width)), d);
  const [gate, value] = p.linear('w12', x, 2 * Math.floor((width * 2) / 3)).split(2);
  return p.linear('w3', silu(gate).mul(value), d);
}

/** A sequence that blocks attend to: [N,S,d], and where there are tokens, bool [N,S]. */
export interface Sequence {
  readonly tokens: Tensor;
  readonly mask: Tensor;
}

/** What a block may be conditioned on. */
export interface Conditioning {
  /** SiLU(t_emb + y_emb) [N,d]: what every adaLN head reads. */
  readonly c: Tensor;
  /** [t_emb; y_emb] [N,2,d]. */
  readonly context: Tensor;
  /** What blocks with shared modulation add their tables to, [N,6,d], and the last layer its, [N,1,d]. */
  readonly shared?: { readonly blocks: Tensor; readonly last: Tensor };
  readonly sequence?: Sequence;
}

/** `parts` vectors [N,d] regressed from c. Starts at zero: shift 0, scale 0, gate 0 (paper: "adaLN-Zero"). */
const regressed = (p: Scope, c: Tensor, parts: number) =>
  p.linear('adaLN_modulation.1', c, parts * c.shape[1], { init: zeros }).split(parts);

/** The vectors of a block, or of the last layer: its own, or a table of its own beside those that all share. */
export function modulation(p: Scope, { c, shared }: Conditioning, parts: 2 | 4 | 6): Tensor[] {
  if (!shared) return regressed(p, c, parts);
  const d = c.shape[1];
  const table = p.param('scale_shift_table', [parts, d], normal(d ** -0.5));
  return table.add(parts === 2 ? shared.last : shared.blocks).unstack(1);
}

type Block = (p: Scope, x: Tensor, on: Conditioning, cfg: DiTConfig) => Tensor;

/** Adaptive layer norm with gates that start at 0, so that each block starts as the identity. */
const adaLNZeroBlock: Block = (p, x, on, cfg) => {
  const [shiftA, scaleA, gateA, shiftM, scaleM, gateM] = modulation(p, on, 6);
  const attended = selfAttention(p.at('attn'), modulate(norm(p, 'norm1', x, cfg), shiftA, scaleA), cfg);
  x = x.add(gateA.unsqueeze(1).mul(attended));
  if (on.sequence) x = x.add(sequenceAttention(p.at('cross_attn'), x, on.sequence, cfg.numHeads));
  const eps = cfg.numerics === 'diffusers' ? 1e-5 : 1e-6;
  const mixed = mlp(p.at('mlp'), modulate(norm(p, 'norm2', x, cfg, eps), shiftM, scaleM), cfg);
  return x.add(gateM.unsqueeze(1).mul(mixed));
};

/** Adaptive layer norm without gates. The head starts at zero here too: the block starts as a plain pre-norm block. */
const adaLNBlock: Block = (p, x, on, cfg) => {
  const [shiftA, scaleA, shiftM, scaleM] = modulation(p, on, 4);
  x = x.add(selfAttention(p.at('attn'), modulate(norm(p, 'norm1', x, cfg), shiftA, scaleA), cfg));
  return x.add(mlp(p.at('mlp'), modulate(norm(p, 'norm2', x, cfg), shiftM, scaleM), cfg));
};

/** Attends to [t_emb; y_emb] between self-attention and MLP. */
const crossAttentionBlock: Block = (p, x, { context }, cfg) => {
  x = x.add(selfAttention(p.at('attn'), norm(p, 'norm1', x, cfg), cfg));
  x = x.add(crossAttention(p.at('cross'), norm(p, 'norm_cross', x, cfg), context, cfg.numHeads));
  return x.add(mlp(p.at('mlp'), norm(p, 'norm2', x, cfg), cfg));
};

/** A plain pre-norm block: t_emb and y_emb are among its tokens. */
const inContextBlock: Block = (p, x, _on, cfg) => {
  x = x.add(selfAttention(p.at('attn'), norm(p, 'norm1', x, cfg), cfg));
  return x.add(mlp(p.at('mlp'), norm(p, 'norm2', x, cfg), cfg));
};

/** One block by its name, for whoever builds another network of them. */
export const blocks: Record<DiTConfig['block'], Block> = {
  'in-context': inContextBlock,
  'cross-attention': crossAttentionBlock,
  adaLN: adaLNBlock,
  'adaLN-Zero': adaLNZeroBlock,
};
