/**
 * The autoencoder of latent diffusion: Kingma & Welling 2014, Rombach et al. 2022 (kl-f8). Parameter names and shapes are those
 * of diffusers' AutoencoderKL; the older names of published files are accepted too (vae-names.ts).
 *
 * Letters in shapes: N batch, S side of the picture, s side of the latent (S halved once per level but the last), L latent channels.
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
import { divides, misconfigured, oneOf, realNumber, rejectUnknownKeys, wholeNumber } from './config.ts';
import { conv2d, groupNorm } from './convolution.ts';
import { otherNames } from './vae-names.ts';
import { autoencoderTraining } from './vae-training.ts';

export { klDivergence, posterior, samplePosterior, type Posterior } from './posterior.ts';

/** Sizes of an autoencoder, by diffusers' names. */
export type AutoencoderConfig = {
  inChannels: number;
  latentChannels: number;
  /** Channels of each level, from the picture inwards: all levels but the last halve the sides. */
  blockOutChannels: readonly number[];
  /** Residual blocks of a level of the encoder; the decoder has one more. */
  layersPerBlock: number;
  /** Groups of the group norms. */
  normNumGroups: number;
  /** Side of the pictures, or [height, width]. */
  sampleSize: number | readonly [height: number, width: number];
  /** What latents are multiplied with to have about unit variance; what a diffusion model is trained on. */
  scalingFactor: number;
  /**
   * Mean and deviation of each channel of the latents, as diffusers' latents_mean and latents_std: what the entries take and give is
   * (latent − mean) / deviation. Left out: 0 and 1.
   */
  latentsMean?: readonly number[];
  latentsStd?: readonly number[];
  /** One mean for all channels, as SD3's and FLUX's configs have it (Esser et al. 2024). */
  shiftFactor?: number;
  /** Whether there are 1×1 convolutions between network and latents, as diffusers' use_quant_conv and use_post_quant_conv; SD3's has none. */
  useQuantConv?: boolean;
  usePostQuantConv?: boolean;
};

/** stabilityai/sd-vae-ft-ema and -mse. */
const DEFAULTS: AutoencoderConfig = {
  inChannels: 3,
  latentChannels: 4,
  blockOutChannels: [128, 256, 512, 512],
  layersPerBlock: 2,
  normNumGroups: 32,
  sampleSize: 256,
  scalingFactor: 0.18215,
};

/** What is left out unless asked for. */
const MORE: Partial<AutoencoderConfig> = {
  ...{ latentsMean: undefined, latentsStd: undefined, shiftFactor: undefined },
  ...{ useQuantConv: undefined, usePostQuantConv: undefined },
};

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

const normAct = (p: Scope, x: Tensor, groups: number): Tensor => silu(groupNorm(p.at('conv_norm_out'), x, groups));

/** Pictures [N,C,S,S] → moments [N,2L,s,s] of the posterior: means, then log-variances as the network gives them. */
export function encode(params: Scope, image: Tensor, cfg: AutoencoderConfig): Tensor {
  const { blockOutChannels: widths, normNumGroups: groups, layersPerBlock, latentChannels } = cfg;
  const p = params.at('encoder');
  let h = conv2d(p.at('conv_in'), image, widths[0], 3);
  widths.forEach((width, level) => {
    const block = p.at('down_blocks', level);
    for (let j = 0; j < layersPerBlock; j++) h = resnet(block.at('resnets', j), h, width, groups);
    // Padded at the right and the bottom only.
    if (level < widths.length - 1) h = conv2d(block.at('downsamplers.0.conv'), h, width, 3, { stride: 2, pad: [0, 1] });
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

/** Whether latents are told by their channels' means and deviations. */
const isNormal = (cfg: AutoencoderConfig): boolean =>
  [cfg.latentsMean, cfg.latentsStd, cfg.shiftFactor].some((given) => given !== undefined);

/** [L,1,1] each. */
function channels({ latentsMean, latentsStd, shiftFactor = 0, latentChannels: L }: AutoencoderConfig) {
  const each = (given: readonly number[] | undefined, otherwise: number) =>
    constant([...(given ?? Array<number>(L).fill(otherwise))], [L, 1, 1]);
  return { shift: each(latentsMean, shiftFactor), deviation: each(latentsStd, 1) };
}

/** Each pixel four times. */
const doubled = (x: Tensor): Tensor => resize(x, [2 * x.shape[2], 2 * x.shape[3]]);

/** Latents [N,L,s,s] as `encode` gives them, not scaled, → pictures [N,C,S,S], not clamped. */
export function decode(params: Scope, latents: Tensor, cfg: AutoencoderConfig): Tensor {
  const { blockOutChannels, normNumGroups: groups, layersPerBlock, inChannels, latentChannels } = cfg;
  const widths = [...blockOutChannels].reverse();
  const p = params.at('decoder');
  const { shift, deviation } = channels(cfg);
  const own = isNormal(cfg) ? latents.mul(deviation).add(shift) : latents;
  const quantised = cfg.usePostQuantConv === false ? own : conv2d(params.at('post_quant_conv'), own, latentChannels, 1);
  let h = conv2d(p.at('conv_in'), quantised, widths[0], 3);
  h = middle(p.at('mid_block'), h, groups);
  widths.forEach((width, level) => {
    const block = p.at('up_blocks', level);
    for (let j = 0; j <= layersPerBlock; j++) h = resnet(block.at('resnets', j), h, width, groups);
    if (level < widths.length - 1) h = conv2d(block.at('upsamplers.0.conv'), doubled(h), width, 3);
  });
  return conv2d(p.at('conv_out'), normAct(p, h, groups), inChannels, 3);
}

/** [height, width] of the pictures. */
export const pictureSize = ({ sampleSize }: AutoencoderConfig): [number, number] =>
  typeof sampleSize === 'number' ? [sampleSize, sampleSize] : [sampleSize[0], sampleSize[1]];

/** [height, width] of the latents: each level but the last halves, odd sides downwards. */
export const latentSize = (cfg: AutoencoderConfig): [number, number] => {
  const halve = (n: number) => cfg.blockOutChannels.slice(1).reduce((side) => Math.floor(side / 2), n);
  const [height, width] = pictureSize(cfg);
  return [halve(height), halve(width)];
};

/** Fills in the defaults and checks that the sizes fit together. @throws DitcError `config`. */
export function complete(given: Partial<AutoencoderConfig>): AutoencoderConfig {
  rejectUnknownKeys('autoencoderKL', given, { ...DEFAULTS, ...MORE });
  const cfg = { ...DEFAULTS, ...given };
  const name = (key: string) => `autoencoderKL: ${key}`;
  const counts = ['inChannels', 'latentChannels', 'layersPerBlock', 'normNumGroups'] as const;
  for (const key of counts) wholeNumber(name(key), cfg[key]);
  if (!Array.isArray(cfg.blockOutChannels) || !cfg.blockOutChannels.length) {
    const what = `${name('blockOutChannels')} is ${JSON.stringify(cfg.blockOutChannels)}`;
    throw misconfigured(what, undefined, 'give the channels of each level, as in [128, 256, 512, 512]');
  }
  cfg.blockOutChannels.forEach((width, level) => {
    wholeNumber(name(`blockOutChannels[${level}]`), width);
    const fix = 'groups are of equal size: change either';
    divides(['normNumGroups', cfg.normNumGroups], [name(`blockOutChannels[${level}]`), width], fix);
  });
  const sides = [cfg.sampleSize].flat() as unknown[];
  if (sides.length > 2)
    throw misconfigured(`${name('sampleSize')} has ${sides.length} sides`, undefined, 'give one or two');
  // Windows of the last downsampling still need a row and a column of pixels.
  for (const side of sides) wholeNumber(name('sampleSize'), side, 2 ** (cfg.blockOutChannels.length - 1));
  realNumber(name('scalingFactor'), cfg.scalingFactor);
  checkLatents(cfg);
  return cfg;
}

function checkLatents(cfg: AutoencoderConfig): void {
  const { latentsMean, latentsStd, shiftFactor, latentChannels: L } = cfg;
  const name = (key: string) => `autoencoderKL: ${key}`;
  for (const [key, list, least] of [
    ['latentsMean', latentsMean, -Infinity],
    ['latentsStd', latentsStd, 1e-30],
  ] as const) {
    if (list === undefined) continue;
    if (!Array.isArray(list) || list.length !== L)
      throw misconfigured(
        `${name(key)} is ${JSON.stringify(list)}`,
        `there are ${L} channels`,
        'give a number for each',
      );
    list.forEach((value, channel) => realNumber(`${name(key)}[${channel}]`, value, least));
  }
  if (shiftFactor !== undefined) realNumber(name('shiftFactor'), shiftFactor);
  if (shiftFactor !== undefined && latentsMean)
    throw misconfigured(`${name('shiftFactor')} and latentsMean are given`, 'both are means', 'leave one out');
  for (const key of ['useQuantConv', 'usePostQuantConv'] as const) oneOf(name(key), cfg[key], [undefined, true, false]);
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
