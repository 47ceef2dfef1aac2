/** What a random graph may do next. Each step makes nodes from nodes drawn from the pool; the caller keeps or drops them. */
import { sizeOf, type DType, type Node, type Shape } from '../../compiler/ir/index.ts';
import type { Functional, Random } from '../../compiler/ops/index.ts';

export interface StepContext {
  readonly f: Functional;
  readonly random: Random;
  /** A floating-point node already in the graph, of at least `rank` axes. */
  pick(rank?: number): Node;
  /** A node of the shape: a new input, weight or constant, or one from the pool. Integers lie in [0, 8). */
  leaf(shape: Shape, dtype?: DType): Node;
}

export type Step = (context: StepContext) => Node;

const UNARY = [
  'neg',
  'abs',
  'relu',
  'exp',
  'sin',
  'cos',
  'tanh',
  'erf',
  'sigmoid',
  'silu',
  'gelu',
  'softplus',
  'floor',
  'detach',
  'copy',
  'lay_out',
];
const COMPARISONS = ['eq', 'ne', 'lt', 'le', 'gt', 'ge'] as const;

const unary: Step = ({ f, random, pick }) => f.unary(random.pick(UNARY), pick());

/** Away from 0, where these are steep. */
const guarded: Step = ({ f, random, pick }) => {
  const safe = f.add(f.unary('abs', pick()), 0.5);
  return f.unary(random.pick(['log', 'sqrt', 'rsqrt']), safe);
};

const binary: Step = (context) => {
  const { f, random } = context;
  const [x, y] = pair(context);
  const bounded = () => f.add(f.unary('abs', y), 0.5);
  switch (random.pick(['add', 'sub', 'mul', 'div', 'max', 'min', 'pow'])) {
    case 'add':
      return f.add(x, y);
    case 'sub':
      return f.sub(x, y);
    case 'mul':
      return f.mul(x, y);
    case 'div':
      return f.div(x, bounded());
    case 'max':
      return f.max(x, y);
    case 'min':
      return f.min(x, y);
    default:
      return f.pow(f.add(f.sigmoid(x), 0.5), y);
  }
};

/** Two operands that broadcast together, in either order. */
function pair({ random, pick, leaf }: StepContext): [Node, Node] {
  const x = pick();
  const y = leaf(random.broadcastable(x.type.shape));
  return random.next() < 0.5 ? [x, y] : [y, x];
}

const scalar: Step = ({ f, random, pick }) => {
  const [x, by] = [pick(), Math.fround(random.uniform(0.5, 1.5))];
  return random.next() < 0.7 ? f.mul(f.add(x, 0.25), by) : f.op('clamp', [x], { lo: -by, hi: 2 * by });
};

/** Holds, as all values are finite. */
const known = ({ f, random }: StepContext, x: Node): Node =>
  random.next() < 0.5 ? f.op('is_finite', [x]) : f.op('not', [f.op('is_nan', [x])]);

const choose: Step = (context) => {
  const [x, y] = pair(context);
  const { f, random } = context;
  const holds = f.compare(random.pick(COMPARISONS), x, y);
  return f.select(random.next() < 0.3 ? f.op('not', [holds]) : f.op('and', [known(context, x), holds]), x, y);
};

/** Integers: bits, arithmetic and comparison, and back to floats. */
const integers: Step = ({ f, random, pick, leaf }) => {
  const x = pick();
  const dtype = random.pick(['i32', 'u32'] as const);
  const a = leaf(random.broadcastable(x.type.shape), dtype);
  const b = f.add(f.op('rem', [f.mul(a, 5), f.constant(7, dtype)]), 1);
  const bits = dtype === 'u32' ? f.op('bit_and', [f.op('bit_xor', [a, b]), f.constant(13, dtype)]) : f.max(a, b);
  const both = f.op('and', [f.compare('ge', bits, 2), f.compare('le', a, 6)]);
  return f.select(both, f.mul(x, f.cast(bits, 'f32')), f.add(x, f.cast(both, 'f32')));
};

/** Uniform numbers from Philox, keyed by a leaf and counted by position. */
const random: Step = ({ f, random, leaf }) => {
  const shape = random.shape(1, 3, 5);
  const counter = f.iota('u32', shape, random.int(0, shape.length - 1));
  const words = [leaf([], 'u32'), f.constant(7, 'u32'), counter, f.constant(random.int(0, 9), 'u32'), leaf([1], 'u32')];
  const bits = f.op('shift_right', [f.op('philox', words, { lane: random.int(0, 3) }), f.constant(8, 'u32')]);
  return f.mul(f.add(f.cast(bits, 'f32'), 0.5), 2 ** -24);
};

const reshape: Step = ({ f, random, pick }) => {
  const x = pick();
  const shape = Array.from({ length: random.int(1, 4) }, () => 1);
  for (const p of factor(sizeOf(x.type.shape))) shape[random.int(0, shape.length - 1)] *= p;
  return f.reshape(x, shape);
};

function factor(n: number): number[] {
  for (let p = 2; p * p <= n; p++) if (n % p === 0) return [p, ...factor(n / p)];
  return n > 1 ? [n] : [];
}

const permute: Step = ({ f, random, pick }) => {
  const x = pick(2);
  return f.permute(x, random.permutation(x.type.shape.length));
};

const broadcast: Step = ({ f, random, pick }) => {
  const x = pick();
  const shape = x.type.shape.map((n) => (n === 1 ? random.int(1, 4) : n));
  return f.broadcast(x, random.next() < 0.5 ? [random.int(1, 3), ...shape] : shape);
};

const slice: Step = ({ f, random, pick }) => {
  const x = pick(1);
  const { shape } = x.type;
  const step = shape.map(() => random.int(1, 2));
  const start = shape.map((n) => random.int(0, Math.floor((n - 1) / 2)));
  const size = shape.map((n, i) => random.int(1, Math.floor((n - 1 - start[i]) / step[i]) + 1));
  return f.slice(x, start, size, step);
};

const unfold: Step = ({ f, random, pick }) => {
  const x = pick(1);
  const axis = random.int(0, x.type.shape.length - 1);
  const size = random.int(1, Math.min(3, x.type.shape[axis]));
  return f.unfold(x, axis, size, random.int(1, 2));
};

const concat: Step = ({ f, random, pick, leaf }) => {
  const x = pick(1);
  const axis = random.int(0, x.type.shape.length - 1);
  const y = leaf(x.type.shape.map((n, i) => (i === axis ? random.int(1, 4) : n)));
  return f.concat(random.next() < 0.5 ? [x, y] : [y, x, y], axis);
};

const pad: Step = ({ f, random, pick }) => {
  const x = pick(1);
  const border = () => x.type.shape.map(() => random.int(0, 2));
  return f.pad(x, border(), border(), random.pick([0, 0.5]));
};

const gather: Step = ({ f, random, pick, leaf }) =>
  f.gather(pick(1), leaf(random.shape(0, 2, 5), random.pick(['i32', 'u32'])));

const matmul: Step = ({ f, random, pick, leaf }) => {
  const x = pick(2);
  const [m, k] = x.type.shape.slice(-2);
  const y = random.next() < 0.3 ? f.transpose(x) : leaf([...batch(x.type.shape, random), k, random.int(1, 9)]);
  const product = random.next() < 0.8 ? f.matmul(x, y) : f.matmul(f.transpose(x), leaf([m, random.int(1, 9)]));
  return f.mul(product, 0.5);
};

const batch = (shape: Shape, random: Random): Shape => random.broadcastable(shape.slice(0, -2));

const linear: Step = ({ f, random, pick, leaf }) => {
  const x = pick(1);
  const [k] = x.type.shape.slice(-1);
  const n = random.int(1, 12);
  return f.op('linear', [x, leaf([n, k]), leaf([n])].slice(0, random.int(2, 3)));
};

const reduce: Step = ({ f, random, pick }) => {
  const x = pick(1);
  const axes = x.type.shape.map((_, i) => i).filter(() => random.next() < 0.5);
  const last = x.type.shape.length - 1;
  return random.pick([f.sum, f.mean, f.reduceMax, f.reduceMin])(x, axes.length ? axes : [last]);
};

/** eps is large: where rows are nearly constant, a small one would magnify rounding a thousandfold. */
const layerNorm: Step = ({ f, pick }) => f.op('layer_norm', [pick(1)], { eps: 0.01 });
const softmax: Step = ({ f, pick }) => f.op('softmax', [pick(1)]);

/** A normalised value scaled and shifted, as adaLN does. */
const modulate: Step = (context) => {
  const { f, leaf } = context;
  const x = layerNorm(context);
  const side = x.type.shape.slice(-1);
  return f.add(f.mul(x, f.add(leaf(side), 1)), leaf(side));
};

/** softmax(s·q·kᵀ)·v of one head. */
const attention: Step = ({ f, random, pick, leaf }) => {
  const q = pick(2);
  const [keys, width] = [random.int(1, 7), random.int(1, 6)];
  const k = leaf([keys, q.type.shape.slice(-1)[0]]);
  if (q.type.shape.length === 2 && random.next() < 0.5)
    return f.op('attention', [q, k, leaf([keys, width])], { scale: 0.5 });
  const scores = f.mul(f.matmul(q, f.transpose(k)), 0.5);
  return f.matmul(f.op('softmax', [scores]), leaf([keys, width]));
};

const flip: Step = ({ f, random, pick }) => {
  const x = pick(1);
  const axes = x.type.shape.map((_, i) => i).filter(() => random.next() < 0.5);
  return f.flip(x, axes.length ? axes : [0]);
};

/** Elements along an axis that data chooses, or that land where it says. */
const along: Step = ({ f, random, pick, leaf }) => {
  const x = pick(1);
  const axis = random.int(0, x.type.shape.length - 1);
  const dtype = random.pick(['i32', 'u32'] as const);
  if (random.next() < 0.5) {
    const shape = x.type.shape.map((n, i) => (i !== axis && random.next() < 0.5 ? 1 : n));
    return f.takeAlong(x, leaf(shape.with(axis, random.int(1, 5)), dtype), axis);
  }
  const shape = x.type.shape.map((n, i) => (i !== axis && random.next() < 0.5 ? 1 : n));
  return f.scatterAdd(leaf(shape, dtype), x, axis, random.int(1, 6));
};

/** Sums up to each element; the factors keep them from growing. */
const scan: Step = ({ f, random, pick, leaf }) => {
  const x = pick(1);
  const axis = random.int(0, x.type.shape.length - 1);
  const factors = f.mul(leaf(x.type.shape.map((n) => (random.next() < 0.5 ? 1 : n))), 0.4);
  return random.next() < 0.5 ? f.mul(f.op('scan', [x], { axis }), 0.3) : f.op('scan', [x, factors], { axis });
};

/** Where the largest is, and how many are above a bound: reductions of integers. */
const counted: Step = ({ f, random, pick }) => {
  const x = pick(1);
  const axis = random.int(0, x.type.shape.length - 1);
  const places = f.iota('i32', x.type.shape, axis);
  const hit = f.compare('eq', x, f.reduceMax(x, [axis]));
  const first = f.reduceMin(f.select(hit, places, f.constant(x.type.shape[axis], 'i32')), [axis]);
  const count = f.sum(f.cast(f.compare('gt', x, 0.25), 'i32'), [axis]);
  return f.mul(f.cast(random.next() < 0.5 ? first : count, 'f32'), 0.1);
};

/** Pointwise steps are listed more often: they are what fusion is made of. */
export const STEPS: readonly Step[] = [
  ...[unary, unary, unary, guarded, binary, binary, binary, scalar, choose, integers, random],
  ...[reshape, permute, broadcast, slice, unfold, concat, pad, gather],
  ...[matmul, linear, reduce, reduce, layerNorm, softmax, modulate, attention],
  ...[flip, along, scan, counted],
];
