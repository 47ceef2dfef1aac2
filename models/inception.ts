/**
 * Inception v3 (Szegedy et al. 2015, figure 5 to 7 and table 1) as the network that FID is measured with: the features of
 * ADM's evaluator and of pytorch-fid, by pytorch-fid's names of parameters, so that its published weights load.
 *
 * It differs from the paper's network where the one of 2015, on which FID was defined, does: means over the rim count no
 * zeros, the last block pools by maximum, and there are 1,008 classes.
 */
import { concat, constant, defineModel, relu, type Model, type Scope, type Tensor } from '../compiler/dsl/index.ts';
import { oneOf, rejectUnknownKeys, wholeNumber } from './config.ts';
import { avgPool, batchNorm, conv2d, maxPool, type ConvOptions, type Kernel } from './convolution.ts';

export type InceptionConfig = {
  /** Whose scaling of pictures: they agree on nothing but the side, and so their distances differ. */
  preprocess: 'adm' | 'pytorch-fid';
  /** Side that pictures are scaled to. */
  side: number;
};

const DEFAULTS: InceptionConfig = { preprocess: 'adm', side: 299 };

const VALID: ConvOptions = { padding: 0 };
const HALVING: ConvOptions = { stride: 2, padding: 0 };

/** Convolution → batch norm → ReLU. */
const unit = (p: Scope, x: Tensor, out: number, kernel: Kernel, options: ConvOptions = {}): Tensor =>
  relu(batchNorm(p.at('bn'), conv2d(p.at('conv'), x, out, kernel, { ...options, bias: false }), 0.001));

/** Units one after another: name, width, kernel, and how the last of them steps. */
type Step = readonly [name: string, out: number, kernel: Kernel, options?: ConvOptions];
const chain = (p: Scope, x: Tensor, ...steps: Step[]): Tensor =>
  steps.reduce((h, [name, out, kernel, options]) => unit(p.at(name), h, out, kernel, options), x);

const [ROW, COLUMN]: Kernel[] = [
  [1, 7],
  [7, 1],
];

/** 35×35. Figure 5, with a 5×5. */
const blockA = (p: Scope, x: Tensor, pooled: number): Tensor =>
  concat(
    [
      chain(p, x, ['branch1x1', 64, 1]),
      chain(p, x, ['branch5x5_1', 48, 1], ['branch5x5_2', 64, 5]),
      chain(p, x, ['branch3x3dbl_1', 64, 1], ['branch3x3dbl_2', 96, 3], ['branch3x3dbl_3', 96, 3]),
      chain(p, avgPool(x, 3), ['branch_pool', pooled, 1]),
    ],
    1,
  );

/** 35×35 → 17×17. */
const blockB = (p: Scope, x: Tensor): Tensor =>
  concat(
    [
      chain(p, x, ['branch3x3', 384, 3, HALVING]),
      chain(p, x, ['branch3x3dbl_1', 64, 1], ['branch3x3dbl_2', 96, 3], ['branch3x3dbl_3', 96, 3, HALVING]),
      maxPool(x, 3, { stride: 2 }),
    ],
    1,
  );

/** 17×17, each branch by itself. Figure 6. */
function branchesC(p: Scope, x: Tensor, inner: number): [plain: Tensor, ...others: Tensor[]] {
  return [
    chain(p, x, ['branch1x1', 192, 1]),
    chain(p, x, ['branch7x7_1', inner, 1], ['branch7x7_2', inner, ROW], ['branch7x7_3', 192, COLUMN]),
    chain(
      p,
      x,
      ['branch7x7dbl_1', inner, 1],
      ['branch7x7dbl_2', inner, COLUMN],
      ['branch7x7dbl_3', inner, ROW],
      ['branch7x7dbl_4', inner, COLUMN],
      ['branch7x7dbl_5', 192, ROW],
    ),
    chain(p, avgPool(x, 3), ['branch_pool', 192, 1]),
  ];
}

/** 17×17 → 8×8. */
const blockD = (p: Scope, x: Tensor): Tensor =>
  concat(
    [
      chain(p, x, ['branch3x3_1', 192, 1], ['branch3x3_2', 320, 3, HALVING]),
      chain(
        p,
        x,
        ['branch7x7x3_1', 192, 1],
        ['branch7x7x3_2', 192, ROW],
        ['branch7x7x3_3', 192, COLUMN],
        ['branch7x7x3_4', 192, 3, HALVING],
      ),
      maxPool(x, 3, { stride: 2 }),
    ],
    1,
  );

/** 8×8. Figure 7. */
function blockE(p: Scope, x: Tensor, pool: (x: Tensor) => Tensor): Tensor {
  const both = (h: Tensor, row: string, column: string) => [
    chain(p, h, [row, 384, [1, 3]]),
    chain(p, h, [column, 384, [3, 1]]),
  ];
  const once = chain(p, x, ['branch3x3_1', 384, 1]);
  const twice = chain(p, x, ['branch3x3dbl_1', 448, 1], ['branch3x3dbl_2', 384, 3]);
  return concat(
    [
      chain(p, x, ['branch1x1', 320, 1]),
      ...both(once, 'branch3x3_2a', 'branch3x3_2b'),
      ...both(twice, 'branch3x3dbl_3a', 'branch3x3dbl_3b'),
      chain(p, pool(x), ['branch_pool', 192, 1]),
    ],
    1,
  );
}

/** What the evaluators take from the network, of pictures scaled to its side. */
function features(p: Scope, x: Tensor) {
  let h = chain(p, x, ['Conv2d_1a_3x3', 32, 3, HALVING], ['Conv2d_2a_3x3', 32, 3, VALID], ['Conv2d_2b_3x3', 64, 3]);
  h = maxPool(h, 3, { stride: 2 });
  h = chain(p, h, ['Conv2d_3b_1x1', 80, 1], ['Conv2d_4a_3x3', 192, 3, VALID]);
  h = maxPool(h, 3, { stride: 2 });
  h = blockA(p.at('Mixed_5b'), h, 32);
  h = blockA(p.at('Mixed_5c'), h, 64);
  h = blockA(p.at('Mixed_5d'), h, 64);
  h = blockB(p.at('Mixed_6a'), h);
  h = concat(branchesC(p.at('Mixed_6b'), h, 128), 1);
  h = concat(branchesC(p.at('Mixed_6c'), h, 160), 1);
  const sixth = branchesC(p.at('Mixed_6d'), h, 160);
  h = concat(branchesC(p.at('Mixed_6e'), concat(sixth, 1), 192), 1);
  h = blockD(p.at('Mixed_7a'), h);
  h = blockE(p.at('Mixed_7b'), h, (x) => avgPool(x, 3));
  h = blockE(p.at('Mixed_7c'), h, (x) => maxPool(x, 3, { padding: 1 }));
  const pool = h.mean([2, 3]);
  const [N, , H, W] = sixth[0].shape;
  // Pixel by pixel, seven channels of each: sFID's features (Nash et al. 2021), in the order of ADM's evaluator.
  const spatial = sixth[0]
    .slice(1, 0, 7)
    .permute(0, 2, 3, 1)
    .reshape(N, H * W * 7);
  // The evaluator's score leaves the bias of the classes out.
  const weight = p.param('fc.weight', [CLASSES, pool.shape[1]]);
  return { pool, spatial, logits: pool.matmul(weight.transpose()) };
}

const CLASSES = 1008;

/** Bilinear, without smoothing: where the pixels of a line of `to` lie in one of `from`. */
function resizing(from: number, to: number, preprocess: InceptionConfig['preprocess']): Tensor {
  const matrix = new Float64Array(to * from);
  for (let i = 0; i < to; i++) {
    // TensorFlow 1 aligns the first pixels' corners, PyTorch the pictures'.
    const at = preprocess === 'adm' ? (i * from) / to : ((i + 0.5) * from) / to - 0.5;
    const place = Math.min(from - 1, Math.max(0, at));
    const low = Math.floor(place);
    matrix[i * from + low] += 1 - (place - low);
    matrix[i * from + Math.min(from - 1, low + 1)] += place - low;
  }
  return constant(matrix, [to, from]);
}

/** Pictures [N,3,H,W] of bytes → what the network takes, [N,3,side,side] in about [−1, 1]. */
function prepare(pictures: Tensor, { side, preprocess }: InceptionConfig): Tensor {
  const [, , H, W] = pictures.shape;
  const rows = resizing(H, side, preprocess);
  const columns = resizing(W, side, preprocess).transpose();
  const scaled = rows.matmul(pictures).matmul(columns);
  return preprocess === 'adm' ? scaled.sub(128).div(128) : scaled.div(127.5).sub(1);
}

/**
 * The network with an entry `features` from x [N,3,H,W], values 0 to 255, H and W by the options `height` and `width`, to
 * `pool` [N,2048] (FID, precision, recall), `spatial` [N,2023] (sFID) and `logits` [N,1008] (inception score).
 * @throws DitcError `config`.
 */
export function inception(given: Partial<InceptionConfig> = {}): Model {
  rejectUnknownKeys('inception', given, DEFAULTS);
  const cfg = { ...DEFAULTS, ...given };
  oneOf('inception: preprocess', cfg.preprocess, ['adm', 'pytorch-fid']);
  // Less leaves the last layers no pixel.
  wholeNumber('inception: side', cfg.side, 75);
  return defineModel({
    config: cfg,
    options: { height: 256, width: 256 },
    entries: {
      features(e) {
        const sides = ['height', 'width'].map((name) => wholeNumber(`inception: ${name}`, e.options[name]));
        return features(e.params, prepare(e.input('x', [e.batch, 3, ...sides]), cfg));
      },
    },
  });
}

export default inception();
