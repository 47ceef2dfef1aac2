/**
 * DiT, the diffusion transformer: Peebles & Xie 2023, "Scalable Diffusion Models with Transformers", written from the
 * paper's formulas. Parameter names and shapes are those of the released checkpoints.
 *
 * Letters in shapes: N batch, C channels, I side of the latent, p patch, G = I/p, T = G² tokens, d hidden size, h heads.
 */
import {
  concat,
  defineModel,
  fixed,
  gelu,
  layerNorm,
  linear,
  normal,
  silu,
  softmax,
  stack,
  xavierUniform,
  zeros,
  type Model,
  type Scope,
  type Tensor,
} from '../compiler/dsl/index.ts';
import { divides, oneOf, realNumber, rejectUnknownKeys, wholeNumber } from './config.ts';
import { completeFlow, objectiveOf, samplingDefaults, samplingEntries, type FlowConfig } from './diffusion.ts';
import { diffusersLayout } from './dit-diffusers.ts';
import { trainingEntries } from './training.ts';
import { positionTable, sinusoids } from './sinusoids.ts';

/** How a block is told t and y. Paper section 3.2, figure 3. Only adaLN-Zero was ever released with weights. */
const BLOCKS = ['in-context', 'cross-attention', 'adaLN', 'adaLN-Zero'] as const;

/** Sizes of a DiT; `dit` takes any of them, and DiT-XL/2's for the others. */
export type DiTConfig = {
  /** Side of the latent (or picture), I. */
  inputSize: number;
  patchSize: number;
  inChannels: number;
  hiddenSize: number;
  depth: number;
  numHeads: number;
  /** Width of the MLP over d. */
  mlpRatio: number;
  /** Share of labels replaced by the null class in training; 0 means there is no null class, hence no guidance. */
  classDropoutProb: number;
  numClasses: number;
  /** Whether the model also predicts the variance: then it has 2C output channels, ε first. */
  learnSigma: boolean;
  block: (typeof BLOCKS)[number];
  /** Given where the model is one of flow matching (models/flow.ts; SiT, Ma et al. 2024); without, it predicts DDPM's noise. */
  flow?: Partial<FlowConfig>;
  /**
   * Whose formulas, where two codes differ; the authors' when left out. Weights trained in diffusers want its: frequencies of t over
   * 127 instead of 128, ε of the norm before the MLP 1e-5 instead of 1e-6.
   */
  numerics?: (typeof NUMERICS)[number];
};

const NUMERICS = [undefined, 'official', 'diffusers'] as const;

/** DiT-XL/2 at 256². */
const DEFAULTS: DiTConfig = {
  inputSize: 32,
  patchSize: 2,
  inChannels: 4,
  hiddenSize: 1152,
  depth: 28,
  numHeads: 16,
  mlpRatio: 4,
  classDropoutProb: 0.1,
  numClasses: 1000,
  learnSigma: true,
  block: 'adaLN-Zero',
  numerics: undefined,
};

/** The paper's four sizes (table 1). */
export const sizes = {
  S: { depth: 12, hiddenSize: 384, numHeads: 6 },
  B: { depth: 12, hiddenSize: 768, numHeads: 12 },
  L: { depth: 24, hiddenSize: 1024, numHeads: 16 },
  XL: { depth: 28, hiddenSize: 1152, numHeads: 16 },
} as const;

/** x·(1+scale)+shift over tokens. x [N,T,d]; shift, scale [N,d]. Paper section 3.2. */
const modulate = (x: Tensor, shift: Tensor, scale: Tensor) => x.mul(scale.add(1).unsqueeze(1)).add(shift.unsqueeze(1));

/** softmax(q·kᵀ/√hd)·v in each head, then the heads side by side. q [N,h,T,hd]; k, v [N,h,S,hd] → [N,T,d]. */
function attend(q: Tensor, k: Tensor, v: Tensor): Tensor {
  const [N, h, T, hd] = q.shape;
  const weights = softmax(q.matmul(k.transpose()).mul(hd ** -0.5));
  return weights
    .matmul(v)
    .permute(0, 2, 1, 3)
    .reshape(N, T, h * hd);
}

/** Multi-head self-attention, x [N,T,d]. Rows of `qkv.weight`: all of q, all of k, all of v; each by head. */
function selfAttention(p: Scope, x: Tensor, heads: number): Tensor {
  const [N, T, d] = x.shape;
  const qkv = p.linear('qkv', x, 3 * d).reshape(N, T, 3, heads, d / heads);
  const [q, k, v] = qkv.permute(2, 0, 3, 1, 4).unstack();
  return p.linear('proj', attend(q, k, v), d);
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

/** Two linears with a tanh-GELU between them, x [N,T,d]. */
function mlp(p: Scope, x: Tensor, ratio: number): Tensor {
  const d = x.shape[2];
  return p.linear('fc2', gelu(p.linear('fc1', x, Math.floor(d * ratio))), d);
}

/** What a block may be conditioned on. */
interface Conditioning {
  /** SiLU(t_emb + y_emb) [N,d]: what every adaLN head reads. */
  readonly c: Tensor;
  /** [t_emb; y_emb] [N,2,d]. */
  readonly context: Tensor;
}

/** `parts` vectors [N,d] regressed from c. Starts at zero: shift 0, scale 0, gate 0 (paper: "adaLN-Zero"). */
const modulation = (p: Scope, c: Tensor, parts: number) =>
  p.linear('adaLN_modulation.1', c, parts * c.shape[1], { init: zeros }).split(parts);

type Block = (p: Scope, x: Tensor, on: Conditioning, cfg: DiTConfig) => Tensor;

/** Adaptive layer norm with gates that start at 0, so that each block starts as the identity. */
const adaLNZeroBlock: Block = (p, x, { c }, cfg) => {
  const [shiftA, scaleA, gateA, shiftM, scaleM, gateM] = modulation(p, c, 6);
  const attended = selfAttention(p.at('attn'), modulate(layerNorm(x), shiftA, scaleA), cfg.numHeads);
  x = x.add(gateA.unsqueeze(1).mul(attended));
  const eps = cfg.numerics === 'diffusers' ? 1e-5 : 1e-6;
  const mixed = mlp(p.at('mlp'), modulate(layerNorm(x, eps), shiftM, scaleM), cfg.mlpRatio);
  return x.add(gateM.unsqueeze(1).mul(mixed));
};

/** Adaptive layer norm without gates. The head starts at zero here too: the block starts as a plain pre-norm block. */
const adaLNBlock: Block = (p, x, { c }, cfg) => {
  const [shiftA, scaleA, shiftM, scaleM] = modulation(p, c, 4);
  x = x.add(selfAttention(p.at('attn'), modulate(layerNorm(x), shiftA, scaleA), cfg.numHeads));
  return x.add(mlp(p.at('mlp'), modulate(layerNorm(x), shiftM, scaleM), cfg.mlpRatio));
};

/** Attends to [t_emb; y_emb] between self-attention and MLP. */
const crossAttentionBlock: Block = (p, x, { context }, cfg) => {
  x = x.add(selfAttention(p.at('attn'), layerNorm(x), cfg.numHeads));
  x = x.add(crossAttention(p.at('cross'), layerNorm(x), context, cfg.numHeads));
  return x.add(mlp(p.at('mlp'), layerNorm(x), cfg.mlpRatio));
};

/** A plain pre-norm block: t_emb and y_emb are among its tokens. */
const inContextBlock: Block = (p, x, _on, cfg) => {
  x = x.add(selfAttention(p.at('attn'), layerNorm(x), cfg.numHeads));
  return x.add(mlp(p.at('mlp'), layerNorm(x), cfg.mlpRatio));
};

/** One block by its name, for whoever builds another network of them. */
export const blocks: Record<DiTConfig['block'], Block> = {
  'in-context': inContextBlock,
  'cross-attention': crossAttentionBlock,
  adaLN: adaLNBlock,
  'adaLN-Zero': adaLNZeroBlock,
};

/** Cuts x [N,C,I,I] into patches and embeds each: [N,T,d]. A patch is read channel by channel. Section 3.2, figure 4. */
function patchify(p: Scope, x: Tensor, cfg: DiTConfig): Tensor {
  const { patchSize, hiddenSize: d } = cfg;
  const [N, C, I] = x.shape;
  const G = I / patchSize;
  const length = C * patchSize ** 2;
  const patches = x
    .reshape(N, C, G, patchSize, G, patchSize)
    .permute(0, 2, 4, 1, 3, 5)
    .reshape(N, G * G, length);
  const weight = p.param('weight', [d, C, patchSize, patchSize], xavierUniform(length, d));
  return linear(patches, weight.reshape(d, length), p.param('bias', [d]));
}

/** Puts patches [N,T,p²·channels] (channel last inside a patch) back together: [N,channels,I,I]. */
function unpatchify(x: Tensor, channels: number, patchSize: number): Tensor {
  const [N, T] = x.shape;
  const G = Math.sqrt(T);
  const grid = x.reshape(N, G, G, patchSize, patchSize, channels).permute(0, 5, 1, 3, 2, 4);
  return grid.reshape(N, channels, G * patchSize, G * patchSize);
}

/** t_emb [N,d]: an MLP of the sinusoids. Paper appendix A. */
function embedTimestep(p: Scope, t: Tensor, { hiddenSize: d, numerics }: DiTConfig): Tensor {
  const waves = numerics === 'diffusers' ? sinusoids(t, 127) : sinusoids(t);
  const hidden = silu(p.linear('mlp.0', waves, d, { init: normal(0.02) }));
  return p.linear('mlp.2', hidden, d, { init: normal(0.02) });
}

/** y_emb [N,d]. The table's last row is the null class, when there is one. */
function embedLabel(p: Scope, y: Tensor, cfg: DiTConfig): Tensor {
  const last = cfg.classDropoutProb > 0 ? 1 : 0;
  const rows = cfg.numClasses + last;
  const resize = { kind: 'rows', last } as const;
  return p.param('embedding_table.weight', [rows, cfg.hiddenSize], normal(0.02), { resize }).gather(y);
}

/** The last norm and the projection to patches, which starts at zero: so does the model's output. [N,T,p²·Cout]. */
function finalLayer(p: Scope, x: Tensor, { c }: Conditioning, cfg: DiTConfig): Tensor {
  let normed = layerNorm(x);
  if (cfg.block === 'adaLN' || cfg.block === 'adaLN-Zero') {
    const [shift, scale] = modulation(p, c, 2);
    normed = modulate(normed, shift, scale);
  }
  return p.linear('linear', normed, cfg.patchSize ** 2 * outChannels(cfg), { init: zeros });
}

const outChannels = (cfg: DiTConfig) => cfg.inChannels * (cfg.learnSigma ? 2 : 1);

/** The whole network: x [N,C,I,I], t [N] f32, y [N] i32 → [N,Cout,I,I], what is predicted first and then, if learned, v. */
export function denoise(p: Scope, x: Tensor, t: Tensor, y: Tensor, cfg: DiTConfig): Tensor {
  const { hiddenSize: d, inputSize, patchSize } = cfg;
  const G = inputSize / patchSize;
  const tEmb = embedTimestep(p.at('t_embedder'), t, cfg);
  const yEmb = embedLabel(p.at('y_embedder'), y, cfg);
  const on = { c: silu(tEmb.add(yEmb)), context: stack([tEmb, yEmb], 1) };

  const positions = p.param('pos_embed', [1, G * G, d], fixed(positionTable(d, G)), {
    frozen: true,
    resize: { kind: 'grid' },
  });
  let tokens = patchify(p.at('x_embedder.proj'), x, cfg).add(positions);
  if (cfg.block === 'in-context') tokens = concat([tokens, on.context], 1);
  for (let i = 0; i < cfg.depth; i++) tokens = blocks[cfg.block](p.at('blocks', i), tokens, on, cfg);
  if (cfg.block === 'in-context') tokens = tokens.slice(1, 0, G * G);
  return unpatchify(finalLayer(p.at('final_layer'), tokens, on, cfg), outChannels(cfg), patchSize);
}

/** Fills in the defaults and checks that the sizes fit together. @throws DitcError `config`. */
function complete(given: Partial<DiTConfig>): DiTConfig {
  rejectUnknownKeys('dit', given, { ...DEFAULTS, flow: undefined });
  const { flow, ...network } = given;
  const cfg = { ...DEFAULTS, ...network, ...(flow && { flow: completeFlow(flow) }) };
  const counts = ['inputSize', 'patchSize', 'inChannels', 'hiddenSize', 'depth', 'numHeads', 'numClasses'] as const;
  for (const key of counts) wholeNumber(`dit: ${key}`, cfg[key]);
  const { inputSize, patchSize, hiddenSize, numHeads } = cfg;
  divides(['patchSize', patchSize], ['dit: inputSize', inputSize], 'patches are whole: change either');
  divides(['numHeads', numHeads], ['dit: hiddenSize', hiddenSize], 'heads share the width equally: change either');
  divides(['4', 4], ['dit: hiddenSize', hiddenSize], 'the position table has four parts: use a multiple of 4');
  realNumber('dit: mlpRatio', cfg.mlpRatio, 1 / hiddenSize);
  realNumber('dit: classDropoutProb', cfg.classDropoutProb, 0, 1);
  oneOf('dit: learnSigma', cfg.learnSigma, [true, false]);
  oneOf('dit: block', cfg.block, BLOCKS);
  oneOf('dit: numerics', cfg.numerics, NUMERICS);
  return cfg;
}

/**
 * A diffusion transformer; keys left out are DiT-XL/2's.
 *
 * Entries: `forward`(x [N,C,I,I], t [N] f32, y [N] i32) → out [N,Cout,I,I], and those of models/diffusion.ts and models/training.ts.
 * @throws DitcError `config` when the sizes do not fit together.
 */
export function dit(config: Partial<DiTConfig> = {}): Model {
  const cfg = complete(config);
  const { inChannels, inputSize, numClasses, flow } = cfg;
  const nullClass = cfg.classDropoutProb > 0 ? numClasses : undefined;
  const predict = (p: Scope, x: Tensor, t: Tensor, y: Tensor) => denoise(p, x, t, y, cfg);
  const diffusers = diffusersLayout(cfg);
  const denoiser = { channels: inChannels, size: inputSize, classes: numClasses, nullClass, predict, flow };
  const objective = objectiveOf(denoiser);
  const training = trainingEntries({ ...denoiser, labelDropout: cfg.classDropoutProb });
  return defineModel({
    config: cfg,
    onDemand: Object.keys(training),
    choices: { sampler: Object.keys(objective.samplers) },
    layouts: diffusers && { diffusers },
    options: {
      ...samplingDefaults,
      ...objective.defaults,
      cfg: nullClass === undefined ? 1 : samplingDefaults.cfg,
    },
    entries: {
      forward(e) {
        const x = e.input('x', [e.batch, inChannels, inputSize, inputSize]);
        const out = denoise(e.params, x, e.input('t', [e.batch]), e.input('y', [e.batch], 'i32'), cfg);
        return { out };
      },
      ...samplingEntries(denoiser),
      ...training,
    },
  });
}
