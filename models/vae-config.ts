/** Sizes of an autoencoder: their names, which are diffusers' where it has one, what they are unless told, and what fits together. */
import { divides, misconfigured, oneOf, realNumber, rejectUnknownKeys, wholeNumber } from './config.ts';

const DOWN_BLOCKS = ['DownEncoderBlock2D', 'AttnDownEncoderBlock2D'] as const;
const UP_BLOCKS = ['UpDecoderBlock2D', 'AttnUpDecoderBlock2D'] as const;

export type AutoencoderConfig = {
  inChannels: number;
  latentChannels: number;
  /** Channels of each level, from the picture inwards. */
  blockOutChannels: readonly number[];
  /** Residual blocks of a level of the encoder; the decoder has one more. */
  layersPerBlock: number;
  /** Groups of the group norms. */
  normNumGroups: number;
  /** Side of the pictures, or [height, width]. */
  sampleSize: number | readonly [height: number, width: number];
  /** What latents are multiplied with to have about unit variance; what a diffusion model is trained on. */
  scalingFactor: number;
  /** How often smaller the sides become from each level to the next, 1 or 2; 2 unless told. */
  strides?: readonly (number | readonly [height: number, width: number])[];
  /** Whether a level has attention after each residual block ("Attn…"), as the f16 of VQ-GAN and VA-VAE has in its last. */
  downBlockTypes?: readonly (typeof DOWN_BLOCKS)[number][];
  /** The same of the decoder, from the latent outwards. */
  upBlockTypes?: readonly (typeof UP_BLOCKS)[number][];
  /** A decoder of its own size (Zhu et al. 2023, asymmetric VQ-GAN): channels from the picture inwards, and blocks less one. */
  upBlockOutChannels?: readonly number[];
  layersPerUpBlock?: number;
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
  ...{ strides: undefined, downBlockTypes: undefined, upBlockTypes: undefined },
  ...{ upBlockOutChannels: undefined, layersPerUpBlock: undefined },
  ...{ latentsMean: undefined, latentsStd: undefined, shiftFactor: undefined },
  ...{ useQuantConv: undefined, usePostQuantConv: undefined },
};

/** A level of the encoder or of the decoder, in the order that data takes. */
export interface Level {
  readonly channels: number;
  readonly blocks: number;
  readonly attends: boolean;
  /** To the next level, by [height, width]; of the last level none. */
  readonly stride?: readonly [number, number];
}

/** [height, width] from each level to the next, from the picture inwards. */
function stridesOf({ strides, blockOutChannels }: AutoencoderConfig): (readonly [number, number])[] {
  return blockOutChannels.slice(1).map((_, i) => {
    const stride = strides?.[i] ?? 2;
    return typeof stride === 'number' ? [stride, stride] : stride;
  });
}

export function encoderLevels(cfg: AutoencoderConfig): Level[] {
  const strides = stridesOf(cfg);
  return cfg.blockOutChannels.map((channels, i) => ({
    channels,
    blocks: cfg.layersPerBlock,
    attends: cfg.downBlockTypes?.[i] === 'AttnDownEncoderBlock2D',
    stride: strides[i],
  }));
}

export function decoderLevels(cfg: AutoencoderConfig): Level[] {
  const strides = stridesOf(cfg).reverse();
  return [...(cfg.upBlockOutChannels ?? cfg.blockOutChannels)].reverse().map((channels, i) => ({
    channels,
    blocks: (cfg.layersPerUpBlock ?? cfg.layersPerBlock) + 1,
    attends: cfg.upBlockTypes?.[i] === 'AttnUpDecoderBlock2D',
    stride: strides[i],
  }));
}

/** Whether latents are told by their channels' means and deviations. */
export const isNormal = (cfg: AutoencoderConfig): boolean =>
  [cfg.latentsMean, cfg.latentsStd, cfg.shiftFactor].some((given) => given !== undefined);

/** [height, width] of the pictures. */
export const pictureSize = ({ sampleSize }: AutoencoderConfig): [number, number] =>
  typeof sampleSize === 'number' ? [sampleSize, sampleSize] : [sampleSize[0], sampleSize[1]];

/** [height, width] of the latents: each stride divides, odd sides downwards. */
export function latentSize(cfg: AutoencoderConfig): [number, number] {
  const [height, width] = pictureSize(cfg);
  return stridesOf(cfg).reduce<[number, number]>(
    ([h, w], [down, across]) => [Math.floor(h / down), Math.floor(w / across)],
    [height, width],
  );
}

const keyed = (key: string) => `autoencoderKL: ${key}`;

/** Fills in the defaults and checks that the sizes fit together. @throws DitcError `config`. */
export function complete(given: Partial<AutoencoderConfig>): AutoencoderConfig {
  rejectUnknownKeys('autoencoderKL', given, { ...DEFAULTS, ...MORE });
  const cfg = { ...DEFAULTS, ...given };
  const counts = ['inChannels', 'latentChannels', 'layersPerBlock', 'normNumGroups'] as const;
  for (const key of counts) wholeNumber(keyed(key), cfg[key]);
  if (cfg.layersPerUpBlock !== undefined) wholeNumber(keyed('layersPerUpBlock'), cfg.layersPerUpBlock);
  checkChannels(cfg, 'blockOutChannels');
  if (cfg.upBlockOutChannels !== undefined) {
    checkChannels(cfg, 'upBlockOutChannels');
    checkLength('upBlockOutChannels', cfg.upBlockOutChannels, cfg.blockOutChannels.length, 'level');
  }
  checkLevels(cfg);
  checkSides(cfg);
  realNumber(keyed('scalingFactor'), cfg.scalingFactor);
  checkLatents(cfg);
  return cfg;
}

function checkChannels(cfg: AutoencoderConfig, key: 'blockOutChannels' | 'upBlockOutChannels'): void {
  const widths = cfg[key];
  if (!Array.isArray(widths) || !widths.length) {
    const what = `${keyed(key)} is ${JSON.stringify(widths)}`;
    throw misconfigured(what, undefined, 'give the channels of each level, as in [128, 256, 512, 512]');
  }
  widths.forEach((width, level) => {
    wholeNumber(keyed(`${key}[${level}]`), width);
    const fix = 'groups are of equal size: change either';
    divides(['normNumGroups', cfg.normNumGroups], [keyed(`${key}[${level}]`), width], fix);
  });
}

function checkLength(
  key: string,
  list: unknown,
  length: number,
  each: string,
  all = `${each}s`,
): asserts list is unknown[] {
  if (Array.isArray(list) && list.length === length) return;
  const why = length === 1 ? `there is 1 ${each}` : `there are ${length} ${all}`;
  throw misconfigured(`${keyed(key)} is ${JSON.stringify(list)}`, why, 'give one for each');
}

function checkLevels(cfg: AutoencoderConfig): void {
  const levels = cfg.blockOutChannels.length;
  for (const [key, choices] of [
    ['downBlockTypes', DOWN_BLOCKS],
    ['upBlockTypes', UP_BLOCKS],
  ] as const) {
    const types = cfg[key];
    if (types === undefined) continue;
    checkLength(key, types, levels, 'level');
    types.forEach((type, level) => oneOf<unknown>(keyed(`${key}[${level}]`), type, choices));
  }
  if (cfg.strides === undefined) return;
  checkLength('strides', cfg.strides, levels - 1, 'step between levels', 'steps between levels');
  for (const [i, stride] of stridesOf(cfg).entries()) {
    const name = keyed(`strides[${i}]`);
    if (!Array.isArray(stride) || stride.length !== 2)
      throw misconfigured(
        `${name} is ${JSON.stringify(stride)}`,
        undefined,
        'give 1 or 2, or [height, width] of these',
      );
    for (const side of stride) oneOf(name, side, [1, 2]);
  }
}

/** Windows of the last downsampling still need a row and a column of pixels. */
function checkSides(cfg: AutoencoderConfig): void {
  const sides = [cfg.sampleSize].flat() as unknown[];
  if (sides.length > 2)
    throw misconfigured(`${keyed('sampleSize')} has ${sides.length} sides`, undefined, 'give one or two');
  const least = [0, 1].map((axis) => stridesOf(cfg).reduce((product, stride) => product * stride[axis], 1));
  sides.forEach((side, axis) => {
    wholeNumber(keyed('sampleSize'), side, sides.length === 1 ? Math.max(...least) : least[axis]);
  });
}

function checkLatents(cfg: AutoencoderConfig): void {
  const { latentsMean, latentsStd, shiftFactor, latentChannels } = cfg;
  for (const [key, list, least] of [
    ['latentsMean', latentsMean, -Infinity],
    ['latentsStd', latentsStd, 1e-30],
  ] as const) {
    if (list === undefined) continue;
    checkLength(key, list, latentChannels, 'channel');
    list.forEach((value, channel) => realNumber(`${keyed(key)}[${channel}]`, value, least));
  }
  if (shiftFactor !== undefined) realNumber(keyed('shiftFactor'), shiftFactor);
  if (shiftFactor !== undefined && latentsMean)
    throw misconfigured(`${keyed('shiftFactor')} and latentsMean are given`, 'both are means', 'leave one out');
  for (const key of ['useQuantConv', 'usePostQuantConv'] as const)
    oneOf(keyed(key), cfg[key], [undefined, true, false]);
}
