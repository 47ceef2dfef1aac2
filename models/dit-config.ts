/** What a diffusion transformer is made of: the sizes and the choices of `dit`, their defaults, and what fits together. */
import { divides, misconfigured, oneOf, realNumber, rejectUnknownKeys, wholeNumber } from './config.ts';
import { completeFlow, type FlowConfig } from './flow.ts';
import { sidesOf, type Sides } from './guidance.ts';

/** How a block is told t and y. Paper section 3.2, figure 3. Only adaLN-Zero was ever released with weights. */
const BLOCKS = ['in-context', 'cross-attention', 'adaLN', 'adaLN-Zero'] as const;

/** Sizes of a DiT; `dit` takes any of them, and DiT-XL/2's for the others. */
export type DiTConfig = {
  /** Side of the latent (or picture), I, or [height, width]. */
  inputSize: Sides;
  patchSize: number;
  inChannels: number;
  hiddenSize: number;
  depth: number;
  numHeads: number;
  /** Width of the MLP over d. */
  mlpRatio: number;
  /** Share of labels (and of `sequence` and `pooled`) dropped in training; 0 means there is no null class, hence no guidance. */
  classDropoutProb: number;
  /** 0: the model knows no classes. */
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
  /** `rms`: norms are RMSNorm with a weight, here and of queries and keys. Zhang & Sennrich 2019; LightningDiT (arXiv 2501.01423). */
  norm?: (typeof NORMS)[number];
  /** Whether queries and keys are normalised in each head, with an affine part. Dehghani et al. 2023 (arXiv 2302.05442), section 2. */
  qkNorm?: boolean;
  /** Whether queries and keys turn by their place in the grid, rows in one half of a head, columns in the other. Su et al. 2021; Heo et al. 2024. */
  rope?: boolean;
  /** `swiglu`: the MLP is (SiLU(x·W₁) ∘ x·W₂)·W₃ of ⅔ the width. Shazeer 2020. */
  mlp?: (typeof MLPS)[number];
  /** `shared`: one projection of t for all blocks, to which each adds a table: adaLN-single of PixArt-α (arXiv 2310.00426), section 2.3. */
  modulation?: (typeof MODULATIONS)[number];
  /**
   * A sequence of vectors that each block attends to, such as a text's: the entries take `context` f32[N, length, width], and `contextMask`
   * i32[N, length], 1 where there is a token. PixArt-α, section 2.3.
   */
  sequence?: { width: number; length: number };
  /** One vector more that the model is told, beside t: the entries take `pooled` f32[N, width]. Podell et al. 2023 (arXiv 2307.01952), 2.2. */
  pooled?: { width: number };
};

const NUMERICS = [undefined, 'official', 'diffusers'] as const;
const NORMS = [undefined, 'layer', 'rms'] as const;
const MLPS = [undefined, 'gelu', 'swiglu'] as const;
const MODULATIONS = [undefined, 'block', 'shared'] as const;

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

/** What is left out unless asked for. */
const MORE: Partial<DiTConfig> = {
  ...{ flow: undefined, norm: undefined, qkNorm: undefined, rope: undefined, mlp: undefined },
  ...{ modulation: undefined, sequence: undefined, pooled: undefined },
};

/** The paper's four sizes (table 1). */
export const sizes = {
  S: { depth: 12, hiddenSize: 384, numHeads: 6 },
  B: { depth: 12, hiddenSize: 768, numHeads: 12 },
  L: { depth: 24, hiddenSize: 1024, numHeads: 16 },
  XL: { depth: 28, hiddenSize: 1152, numHeads: 16 },
} as const;

/** Patches down and across. */
export const gridOf = ({ inputSize, patchSize }: Pick<DiTConfig, 'inputSize' | 'patchSize'>): [number, number] => {
  const [height, width] = sidesOf(inputSize);
  return [height / patchSize, width / patchSize];
};

export const outChannels = (cfg: DiTConfig): number => cfg.inChannels * (cfg.learnSigma ? 2 : 1);

/** Fills in the defaults and checks that the sizes fit together. @throws DitcError `config`. */
export function complete(given: Partial<DiTConfig>): DiTConfig {
  rejectUnknownKeys('dit', given, { ...DEFAULTS, ...MORE });
  const { flow, ...network } = given;
  const cfg = { ...DEFAULTS, ...network, ...(flow && { flow: completeFlow(flow) }) };
  const counts = ['patchSize', 'inChannels', 'hiddenSize', 'depth', 'numHeads'] as const;
  for (const key of counts) wholeNumber(`dit: ${key}`, cfg[key]);
  wholeNumber('dit: numClasses', cfg.numClasses, 0);
  const { patchSize, hiddenSize, numHeads } = cfg;
  const sides = [cfg.inputSize].flat() as unknown[];
  if (sides.length > 2) throw misconfigured(`dit: inputSize has ${sides.length} sides`, undefined, 'give one or two');
  for (const side of sides) {
    wholeNumber('dit: inputSize', side);
    divides(['patchSize', patchSize], ['dit: inputSize', side as number], 'patches are whole: change either');
  }
  divides(['numHeads', numHeads], ['dit: hiddenSize', hiddenSize], 'heads share the width equally: change either');
  divides(['4', 4], ['dit: hiddenSize', hiddenSize], 'the position table has four parts: use a multiple of 4');
  realNumber('dit: mlpRatio', cfg.mlpRatio, 1 / hiddenSize);
  realNumber('dit: classDropoutProb', cfg.classDropoutProb, 0, 1);
  oneOf('dit: learnSigma', cfg.learnSigma, [true, false]);
  oneOf('dit: block', cfg.block, BLOCKS);
  oneOf('dit: numerics', cfg.numerics, NUMERICS);
  checkMore(cfg);
  return cfg;
}

function checkMore(cfg: DiTConfig): void {
  oneOf('dit: norm', cfg.norm, NORMS);
  oneOf('dit: mlp', cfg.mlp, MLPS);
  oneOf('dit: modulation', cfg.modulation, MODULATIONS);
  for (const key of ['qkNorm', 'rope'] as const) oneOf(`dit: ${key}`, cfg[key], [undefined, true, false]);
  const { hiddenSize, numHeads, block, sequence, pooled } = cfg;
  if (cfg.rope) {
    const fix = 'a pair turns by the row, the next by the column: use heads of a multiple of 4';
    divides(['4', 4], ['dit: hiddenSize / numHeads', hiddenSize / numHeads], fix);
  }
  for (const [key, value] of [
    ['sequence', sequence],
    ['modulation', cfg.modulation === 'shared' || undefined],
  ] as const)
    if (value && block !== 'adaLN-Zero')
      throw misconfigured(
        `dit: ${key} is given with block ${block}`,
        'blocks of adaLN-Zero alone have it',
        `leave ${key} or block out`,
      );
  if (sequence) for (const key of ['width', 'length'] as const) wholeNumber(`dit: sequence.${key}`, sequence[key]);
  if (pooled) wholeNumber('dit: pooled.width', pooled.width);
}
