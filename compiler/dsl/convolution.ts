/**
 * Convolutions of pictures [N,C,H,W], as PyTorch defines them: products over the windows of a padded picture, which nobody writes to
 * memory.
 */
import { formatShape } from '../ir/index.ts';
import { argument, optional, options, scalar, takes, tensor, whole } from './arguments.ts';
import { flip } from './indexing.ts';
import type { Tensor } from './tensor.ts';
import { misuse } from './tensor.ts';

/** One number for both axes of a picture, or one for each. */
export type Pair = number | readonly [height: number, width: number];

export interface ConvOptions {
  stride?: Pair;
  /** Zeros on all sides; those of each axis, or before and after each; `same`: as many as leave a stride of 1 the size. */
  padding?: Pair | 'same' | readonly [height: readonly [number, number], width: readonly [number, number]];
  dilation?: Pair;
  groups?: number;
}

export interface ConvTransposeOptions {
  stride?: Pair;
  padding?: Pair;
  /** Rows and columns that are added at the end. */
  outputPadding?: Pair;
  dilation?: Pair;
  groups?: number;
}

const isWhole = (least: number) => (value: unknown) => Number.isSafeInteger(value) && (value as number) >= least;
const isPair = (value: unknown, fits: (one: unknown) => boolean): boolean =>
  fits(value) || (Array.isArray(value) && value.length === 2 && value.every(fits));
const pair = (name: string, least: number) =>
  argument(name, `a whole number of at least ${least}, or two`, (value) => isPair(value, isWhole(least)));
const PADDING = argument(
  'padding',
  "a whole number of at least 0, two, [[top, bottom], [left, right]] or 'same'",
  (value) => value === 'same' || isPair(value, (one) => isPair(one, isWhole(0))),
);

const both = (value: Pair): readonly [number, number] => (typeof value === 'number' ? [value, value] : value);

/** Zeros before and after each axis. */
function rims({ padding = 0, dilation = 1 }: ConvOptions, kernel: readonly number[]): [number, number][] {
  return kernel.map((side, i) => {
    const reach = (side - 1) * both(dilation)[i];
    if (padding === 'same') return [Math.floor(reach / 2), Math.ceil(reach / 2)];
    const own = typeof padding === 'number' ? padding : padding[i];
    return typeof own === 'number' ? [own, own] : [own[0], own[1]];
  });
}

/** [N,C,H',W',h,w]: the window of each place of a picture [N,C,H,W], with a rim of `value`: what pooling reduces over its last two axes. */
export const windows = takes(
  'windows',
  [
    tensor('x'),
    pair('kernel', 1),
    options('options', [pair('stride', 1), PADDING, pair('dilation', 1)]),
    optional(scalar('value')),
  ],
  (x: Tensor, kernel: Pair, options: Omit<ConvOptions, 'groups'> = {}, value = 0): Tensor => {
    if (x.rank !== 4) throw misuse('windows: x has four axes', `x is ${formatShape(x.shape)}`, 'give x as [N,C,H,W]');
    const [down, across] = rims(options, both(kernel));
    const padded = x.pad([0, 0, down[0], across[0]], [0, 0, down[1], across[1]], value);
    const [step, dilation] = [both(options.stride ?? 1), both(options.dilation ?? 1)];
    return both(kernel).reduce((y, size, i) => y.unfold(2 + i, size, { step: step[i], dilation: dilation[i] }), padded);
  },
);

/** Throws unless x is a picture whose channels the weight takes in groups, and there is one bias a channel of the result. */
function checkShapes(x: Tensor, weight: Tensor, own: { channels: number; out: number; groups: number }, bias?: Tensor) {
  const { channels, out, groups } = own;
  const why = `x is ${formatShape(x.shape)}, weight ${formatShape(weight.shape)}, groups ${groups}`;
  if (x.rank !== 4 || weight.rank !== 4) throw misuse('conv: x and weight have four axes', why, 'give x as [N,C,H,W]');
  if (x.shape[1] !== channels)
    throw misuse('conv: the channels of x are not those of the weight', why, `give x ${channels} channels`);
  if (out % groups || channels % groups)
    throw misuse('conv: the channels are no such groups', why, 'give a number that divides both');
  if (bias && formatShape(bias.shape) !== formatShape([out]))
    throw misuse('conv: bias does not fit', `it is ${formatShape(bias.shape)}`, `give [${out}]`);
}

/** x [N,C,H,W] convolved with weight [O, C/groups, h, w], plus bias [O]: [N,O,H',W']. PyTorch's Conv2d, which does not turn the window. */
export const conv2d = takes(
  'conv2d',
  [
    tensor('x'),
    tensor('weight'),
    optional(tensor('bias')),
    options('options', [pair('stride', 1), PADDING, pair('dilation', 1), whole('groups', 1)]),
  ],
  (x: Tensor, weight: Tensor, bias?: Tensor, options: ConvOptions = {}) => {
    const { groups = 1 } = options;
    const [out, each] = weight.shape;
    checkShapes(x, weight, { channels: each * groups, out, groups }, bias);
    const [, , h, w] = weight.shape;
    const seen = windows(x, [h, w], { stride: options.stride, padding: options.padding, dilation: options.dilation });
    const [N, , H, W] = seen.shape;
    const product = weighted(seen, weight, groups);
    return (bias ? product.add(bias.unsqueeze(1)) : product).reshape(N, out, H, W);
  },
);

/** Windows [N,C,H,W,h,w] multiplied with weights [O, C/groups, h, w]: [N,O,H·W]. */
function weighted(windows: Tensor, weight: Tensor, groups: number): Tensor {
  const [N, C, H, W, h, w] = windows.shape;
  const out = weight.shape[0];
  const columns = windows.permute(0, 1, 4, 5, 2, 3);
  const depth = (C / groups) * h * w;
  if (groups === 1) return weight.reshape(out, depth).matmul(columns.reshape(N, depth, H * W));
  const rows = weight.reshape(groups, out / groups, depth);
  return rows.matmul(columns.reshape(N, groups, depth, H * W)).reshape(N, out, H * W);
}

/**
 * The transpose of a convolution: x [N,C,H,W], weight [C, O/groups, h, w], bias [O] → [N,O,H',W'] with
 * H' = (H − 1)·stride − 2·padding + dilation·(h − 1) + outputPadding + 1. PyTorch's ConvTranspose2d. It is computed as a convolution that
 * gives all `stride`² places between two elements of x as channels: no product with zeros.
 */
export const convTranspose2d = takes(
  'convTranspose2d',
  [
    tensor('x'),
    tensor('weight'),
    optional(tensor('bias')),
    options('options', [
      pair('stride', 1),
      pair('padding', 0),
      pair('outputPadding', 0),
      pair('dilation', 1),
      whole('groups', 1),
    ]),
  ],
  (x: Tensor, weight: Tensor, bias?: Tensor, given: ConvTransposeOptions = {}) => {
    const { groups = 1 } = given;
    const [C, each] = weight.shape;
    const O = each * groups;
    checkShapes(x, weight, { channels: C, out: O, groups }, bias);
    const axes = [0, 1].map((i) => transposedAxis(x.shape[2 + i], weight.shape[2 + i], pick(given, i)));
    const [down, across] = axes;
    const [sh, sw] = axes.map(({ stride }) => stride);
    const phases = phaseWeights(weight, axes, groups);
    const padding = axes.map(({ turns, end }) => [turns - 1, end]) as unknown as ConvOptions['padding'];
    const [N] = x.shape;
    const y = conv2d(x, phases, undefined, { padding, groups });
    const [A, B] = y.shape.slice(2);
    const grid = y
      .reshape(N, O, sh, sw, A, B)
      .permute(0, 1, 4, 2, 5, 3)
      .reshape(N, O, A * sh, B * sw);
    const whole = grid
      .slice(2, down.padding, down.padding + down.length)
      .slice(3, across.padding, across.padding + across.length);
    return bias ? whole.add(bias.reshape(O, 1, 1)) : whole;
  },
);

interface TransposedAxis {
  readonly stride: number;
  readonly padding: number;
  readonly dilation: number;
  /** Of the result. */
  readonly length: number;
  /** Elements of x that one of the result is made of. */
  readonly turns: number;
  /** Zeros behind x. */
  readonly end: number;
}

const pick = (given: ConvTransposeOptions, i: number) => {
  const { stride = 1, padding = 0, outputPadding = 0, dilation = 1 } = given;
  const [s, p, o, d] = [stride, padding, outputPadding, dilation].map((value) => both(value)[i]);
  return { stride: s, padding: p, outputPadding: o, dilation: d };
};

function transposedAxis(size: number, kernel: number, own: ReturnType<typeof pick>): TransposedAxis {
  const { stride, padding, outputPadding, dilation } = own;
  const span = (kernel - 1) * dilation + 1;
  const length = (size - 1) * stride - 2 * padding + span + outputPadding;
  if (outputPadding >= Math.max(stride, dilation)) {
    const why = `it is ${outputPadding}, stride ${stride}, dilation ${dilation}`;
    throw misuse('convTranspose2d: outputPadding must be less than stride or dilation', why, 'make it smaller');
  }
  if (length < 1)
    throw misuse('convTranspose2d: nothing is left', `padding ${padding} of ${size} elements`, 'pad less');
  const places = Math.max(size, Math.ceil((padding + length) / stride));
  return { stride, padding, dilation, length, turns: Math.ceil(span / stride), end: places - size };
}

/**
 * Weights [C, O/g, h, w] as those of a convolution to [g·O/g·sh·sw, C/g, turns, turns]: element s·b + r of the window is that of phase r,
 * b elements of x back.
 */
function phaseWeights(weight: Tensor, axes: readonly TransposedAxis[], groups: number): Tensor {
  const [C, each] = weight.shape;
  const spread = axes.reduce((w, { dilation, stride, turns }, i) => {
    const sparse = withZeros(w, 2 + i, dilation);
    const high = sparse.shape.map((n, axis) => (axis === 2 + i ? turns * stride - n : 0));
    return sparse.pad([0, 0, 0, 0], high);
  }, weight);
  const [down, across] = axes;
  const parts = spread.reshape(groups, C / groups, each, down.turns, down.stride, across.turns, across.stride);
  const turned = flip(parts.permute(0, 2, 4, 6, 1, 3, 5), [5, 6]);
  return turned.reshape(groups * each * down.stride * across.stride, C / groups, down.turns, across.turns);
}

/** `dilation` − 1 zeros between the elements of an axis. */
function withZeros(x: Tensor, axis: number, dilation: number): Tensor {
  if (dilation === 1) return x;
  const column = x.unsqueeze(axis + 1);
  const high = column.shape.map((_, i) => (i === axis + 1 ? dilation - 1 : 0));
  const padded = column.pad(
    high.map(() => 0),
    high,
  );
  const n = x.shape[axis];
  return padded.reshape(...x.shape.with(axis, n * dilation)).slice(axis, 0, (n - 1) * dilation + 1);
}
