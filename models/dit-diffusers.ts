/**
 * How diffusers' DiTTransformer2DModel holds the parameters of a DiT: q, k and v apart, the embeddings of t and y once in every
 * block, the table of positions not at all.
 */
import type { CheckpointLayout } from '../compiler/dsl/index.ts';
import type { DiTConfig } from './dit-config.ts';

/** Names outside of the blocks. */
const OUTSIDE: Readonly<Record<string, string>> = {
  'x_embedder.proj': 'pos_embed.proj',
  'final_layer.adaLN_modulation.1': 'proj_out_1',
  'final_layer.linear': 'proj_out_2',
};

/** Embeddings, of which each block has its own. */
const EMBEDDERS: Readonly<Record<string, string>> = {
  't_embedder.mlp.0': 'timestep_embedder.linear_1',
  't_embedder.mlp.2': 'timestep_embedder.linear_2',
  'y_embedder.embedding_table': 'class_embedder.embedding_table',
};

/** Names within a block. */
const INSIDE: Readonly<Record<string, readonly string[]>> = {
  'attn.qkv': ['attn1.to_q', 'attn1.to_k', 'attn1.to_v'],
  'attn.proj': ['attn1.to_out.0'],
  'mlp.fc1': ['ff.net.0.proj'],
  'mlp.fc2': ['ff.net.2'],
  'adaLN_modulation.1': ['norm1.linear'],
};

function stored(parameter: string, depth: number): string[][] {
  if (parameter === 'pos_embed') return [];
  const [, layer = '', kind] = /^(.*)\.(weight|bias)$/.exec(parameter) ?? [];
  if (OUTSIDE[layer]) return [[`${OUTSIDE[layer]}.${kind}`]];
  if (EMBEDDERS[layer]) {
    const copy = (block: number) => `transformer_blocks.${block}.norm1.emb.${EMBEDDERS[layer]}.${kind}`;
    return [Array.from({ length: depth }, (_, block) => copy(block))];
  }
  const [, block, part = ''] = /^blocks\.(\d+)\.(.*)$/.exec(layer) ?? [];
  // A parameter that is none of a DiT's keeps its name.
  return INSIDE[part]?.map((name) => [`transformer_blocks.${block}.${name}.${kind}`]) ?? [[parameter]];
}

/** Whether it has anything that DiT has not. */
function isOther({ norm, qkNorm, rope, mlp, modulation, sequence, pooled, inputSize, numClasses }: DiTConfig): boolean {
  const others = [norm === 'rms', qkNorm, rope, mlp === 'swiglu', modulation === 'shared', sequence, pooled];
  return others.some(Boolean) || typeof inputSize !== 'number' || !numClasses;
}

/** Undefined for a model that diffusers' class cannot be. */
export function diffusersLayout(cfg: DiTConfig): CheckpointLayout | undefined {
  if (cfg.block !== 'adaLN-Zero' || cfg.classDropoutProb === 0 || cfg.mlpRatio !== 4 || isOther(cfg)) return undefined;
  const config = {
    _class_name: 'DiTTransformer2DModel',
    num_attention_heads: cfg.numHeads,
    attention_head_dim: cfg.hiddenSize / cfg.numHeads,
    in_channels: cfg.inChannels,
    out_channels: cfg.inChannels * (cfg.learnSigma ? 2 : 1),
    num_layers: cfg.depth,
    dropout: 0,
    attention_bias: true,
    sample_size: cfg.inputSize,
    patch_size: cfg.patchSize,
    activation_fn: 'gelu-approximate',
    num_embeds_ada_norm: cfg.numClasses,
    norm_type: 'ada_norm_zero',
    norm_elementwise_affine: false,
    norm_eps: cfg.numerics === 'diffusers' ? 1e-5 : 1e-6,
  };
  const telling = ['num_attention_heads', 'patch_size', 'activation_fn', 'norm_type'];
  const other =
    'diffusers takes frequencies of t over 127, this model over 128 (numerics): its pictures will differ a little';
  return {
    ...(cfg.numerics !== 'diffusers' && { remark: other }),
    stored: (parameter) => stored(parameter, cfg.depth),
    folder: { weights: 'diffusion_pytorch_model.safetensors', config, telling },
  };
}
