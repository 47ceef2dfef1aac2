/**
 * The autoencoder of latent diffusion: Kingma & Welling 2014, Rombach et al. 2022 (kl-f8). Parameter names and shapes are those
 * of diffusers' AutoencoderKL; the older names of published files are accepted too (vae-names.ts).
 *
 * Letters in shapes: N batch, S side of the picture, s side of the latent (S over the strides between levels), L latent channels.
 */
import {
  concat,
  constant,
  defineModel,
  resize,
  silu,
  softmax,
  uniform,
  type Model,
  type Scope,
  type Tensor,
} from '../compiler/dsl/index.ts';
import { conv2d, groupNorm } from './convolution.ts';
import {
  complete,
  decoderLevels,
  encoderLevels,
  isNormal,
  latentSize,
  pictureSize,
  type AutoencoderConfig,
  type Level,
} from './vae-config.ts';
import { otherNames } from './vae-names.ts';
import { autoencoderTraining } from './vae-training.ts';

export { complete, latentSize, pictureSize, type AutoencoderConfig } from './vae-config.ts';
export { klDivergence, posterior, samplePosterior, type Posterior } from './posterior.ts';

/** GN → SiLU → conv twice, around a skip: the identity, or a 1×1 convolution where the width changes. */
function resnet(p: Scope, x: Tensor, out: number, groups: number): Tensor {
  const C = x.shape[1];
  const first = conv2d(p.at('conv1'), silu(groupNorm(p.at('norm1'), x, groups)), out, 3);
  const second = conv2d(p.at('conv2'), silu(groupNorm(p.at('norm2'), first, groups)), out, 3);
  const skip = C === out ? x : conv2d(p.at('conv_shortcut'), x, out, 1);
  return skip.add(second);
}

/** Self-attention over the pixels, one head of all channels. */
function attention(p: Scope, x: Tensor, groups: number): Tensor {
  const [N, C, H, W] = x.shape;
  const tokens = groupNorm(p.at('group_norm'), x, groups)
    .reshape(N, C, H * W)
    .transpose();
  const project = (name: string, from: Tensor) =>
    p.linear(name, from, C, { init: uniform(C ** -0.5), biasInit: uniform(C ** -0.5) });
  const [q, k, v] = ['to_q', 'to_k', 'to_v'].map((name) => project(name, tokens));
  const weights = softmax(q.matmul(k.transpose()).mul(C ** -0.5));
  const out = project('to_out.0', weights.matmul(v));
  return x.add(out.transpose().reshape(N, C, H, W));
}

function middle(p: Scope, x: Tensor, groups: number): Tensor {
  const C = x.shape[1];
  const before = resnet(p.at('resnets.0'), x, C, groups);
  return resnet(p.at('resnets.1'), attention(p.at('attentions.0'), before, groups), C, groups);
}

/** The residual blocks of a level, each before its attention where the level has some. */
function residual(p: Scope, x: Tensor, { channels, blocks, attends }: Level, groups: number): Tensor {
  return Array.from({ length: blocks }).reduce<Tensor>((h, _, j) => {
    const next = resnet(p.at('resnets', j), h, channels, groups);
    return attends ? attention(p.at('attentions', j), next, groups) : next;
  }, x);
}

/** Zeros at the right and the bottom only of an axis that is halved. */
const rim = (stride: number): readonly [number, number] => (stride === 1 ? [1, 1] : [0, 1]);

const normAct = (p: Scope, x: Tensor, groups: number): Tensor => silu(groupNorm(p.at('conv_norm_out'), x, groups));

/** Pictures [N,C,S,S] → moments [N,2L,s,s] of the posterior: means, then log-variances as the network gives them. */
export function encode(params: Scope, image: Tensor, cfg: AutoencoderConfig): Tensor {
  const { normNumGroups: groups, latentChannels } = cfg;
  const levels = encoderLevels(cfg);
  const p = params.at('encoder');
  let h = conv2d(p.at('conv_in'), image, levels[0].channels, 3);
  levels.forEach((level, i) => {
    const block = p.at('down_blocks', i);
    const { stride, channels } = level;
    h = residual(block, h, level, groups);
    if (!stride) return;
    h = conv2d(block.at('downsamplers.0.conv'), h, channels, 3, { stride, padding: [rim(stride[0]), rim(stride[1])] });
  });
  h = normAct(p, middle(p.at('mid_block'), h, groups), groups);
  const parts = 2 * latentChannels;
  const out = conv2d(p.at('conv_out'), h, parts, 3);
  const moments = cfg.useQuantConv === false ? out : conv2d(params.at('quant_conv'), out, parts, 1);
  if (!isNormal(cfg)) return moments;
  const [mean, logVariance] = moments.split(2, 1);
  const { shift, deviation } = channels(cfg);
  return concat([mean.sub(shift).div(deviation), logVariance.sub(deviation.log().mul(2))], 1);
}

/** [L,1,1] each. */
function channels({ latentsMean, latentsStd, shiftFactor = 0, latentChannels: L }: AutoencoderConfig) {
  const each = (given: readonly number[] | undefined, otherwise: number) =>
    constant([...(given ?? Array<number>(L).fill(otherwise))], [L, 1, 1]);
  return { shift: each(latentsMean, shiftFactor), deviation: each(latentsStd, 1) };
}

/** Each pixel as often as the strides tell. */
const enlarged = (x: Tensor, [down, across]: readonly [number, number]): Tensor =>
  resize(x, [down * x.shape[2], across * x.shape[3]]);

/** Latents [N,L,s,s] as `encode` gives them, not scaled, → pictures [N,C,S,S], not clamped. */
export function decode(params: Scope, latents: Tensor, cfg: AutoencoderConfig): Tensor {
  const { normNumGroups: groups, inChannels, latentChannels } = cfg;
  const levels = decoderLevels(cfg);
  const p = params.at('decoder');
  const { shift, deviation } = channels(cfg);
  const own = isNormal(cfg) ? latents.mul(deviation).add(shift) : latents;
  const quantised = cfg.usePostQuantConv === false ? own : conv2d(params.at('post_quant_conv'), own, latentChannels, 1);
  let h = conv2d(p.at('conv_in'), quantised, levels[0].channels, 3);
  h = middle(p.at('mid_block'), h, groups);
  levels.forEach((level, i) => {
    const block = p.at('up_blocks', i);
    h = residual(block, h, level, groups);
    if (!level.stride) return;
    h = conv2d(block.at('upsamplers.0.conv'), enlarged(h, level.stride), level.channels, 3);
  });
  return conv2d(p.at('conv_out'), normAct(p, h, groups), inChannels, 3);
}

/**
 * The autoencoder; keys left out are sd-vae's.
 *
 * Entries: `encode`(image [N,C,S,S]) → moments [N,2L,s,s]; `decode`(latents [N,L,s,s]) → image [N,C,S,S]. Latents are those of
 * the posterior, not yet multiplied with `config.scalingFactor`. And those of models/vae-training.ts.
 * @throws DitcError `config` when the sizes do not fit together.
 */
export function autoencoderKL(config: Partial<AutoencoderConfig> = {}): Model {
  const cfg = complete(config);
  const training = autoencoderTraining({
    pictures: [cfg.inChannels, ...pictureSize(cfg)],
    latents: [cfg.latentChannels, ...latentSize(cfg)],
    encode: (p, image) => encode(p, image, cfg),
    decode: (p, latents) => decode(p, latents, cfg),
  });
  return defineModel({
    config: cfg,
    onDemand: Object.keys(training),
    picture: { range: [-1, 1] },
    aliases: (name) => otherNames(name, cfg.blockOutChannels.length),
    entries: {
      encode(e) {
        const image = e.input('image', [e.batch, cfg.inChannels, ...pictureSize(cfg)]);
        return { moments: encode(e.params, image, cfg) };
      },
      decode(e) {
        const latents = e.input('latents', [e.batch, cfg.latentChannels, ...latentSize(cfg)]);
        return { image: decode(e.params, latents, cfg) };
      },
      ...training,
    },
  });
}
