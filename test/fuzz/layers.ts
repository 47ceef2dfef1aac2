/**
 * Random networks, for fuzzing: values [batch, tokens, width] that go through the layers models are made of, in the plain algebra of
 * their papers, with awkward sizes; then losses, derivatives and optimisers, and outputs that are views of what is inside.
 */
import { sizeOf, type Node } from '../../compiler/ir/index.ts';
import type { Case } from './cases.ts';
import { MOST_ELEMENTS, Network, SIZES, SMALL, type Layer } from './network.ts';

const mlp: Layer = (net, x) => {
  const normed = net.random.next() < 0.6 ? net.normed(x) : x;
  return net.linear(net.activated(net.linear(normed, net.random.pick(SIZES))), x.type.shape.at(-1)!);
};

const project: Layer = (net, x) => net.linear(x, net.random.pick(SIZES));

const modulated: Layer = (net, x) => {
  const { f, random } = net;
  const [batch, , width] = x.type.shape;
  const both = net.linear(net.activated(net.leaf('input', 'c', [batch, random.pick(SMALL)])), 2 * width);
  const part = (i: number) => f.reshape(f.slice(both, [0, i * width], [batch, width]), [batch, 1, width]);
  return f.add(f.mul(net.normed(x), f.add(part(0), 1)), part(1));
};

/** Heads of the tokens, or of one token for all: with a bias, a mask, a cap, keys from elsewhere. */
const attention: Layer = (net, x) => {
  const { f, random } = net;
  const [batch, tokens, width] = x.type.shape;
  const heads = random.pick([1, 1, 2, 3]);
  const size = random.pick([1, 2, 4, 5]);
  const from =
    random.next() < 0.7 ? x : net.leaf('input', 'context', [random.pick([1, batch]), random.pick(SIZES), width]);
  const split = (y: Node) => f.permute(f.reshape(y, [y.type.shape[0], y.type.shape[1], heads, size]), [0, 2, 1, 3]);
  const [q, k, v] = [x, from, from].map((y) => split(net.linear(y, heads * size)));
  const keys = k.type.shape[2];
  const scores = [f.mul(f.matmul(q, f.transpose(k)), Math.fround(1 / Math.sqrt(size)))];
  if (random.next() < 0.2) scores.push(f.mul(f.tanh(f.mul(scores[0], 0.5)), 2));
  if (random.next() < 0.3)
    scores.push(f.add(scores.at(-1)!, net.param('bias', [random.pick([1, heads]), tokens, keys])));
  if (random.next() < 0.3) {
    // Each query sees its first key.
    const seen = f.compare(
      'le',
      f.iota('i32', [tokens, keys], 1),
      f.add(f.iota('i32', [tokens, keys], 0), random.int(0, 2)),
    );
    scores.push(f.select(seen, scores.at(-1)!, f.constant(random.pick([-1e4, -1e9]))));
  }
  const mixed = f.matmul(f.op('softmax', [scores.at(-1)!]), v);
  const merged = f.reshape(f.permute(mixed, [0, 2, 1, 3]), [batch, tokens, heads * size]);
  return random.next() < 0.7 ? net.linear(merged, width) : merged;
};

/** Tokens as a plane, convolved: padded, cut into patches, multiplied. */
const convolution: Layer = (net, x) => {
  const { f, random } = net;
  const [batch, tokens, width] = x.type.shape;
  const height = random.pick([1, 2, 3, 4, tokens].filter((n) => tokens % n === 0));
  const size = random.pick([1, 2, 3].filter((n) => n <= Math.max(height, 2)));
  const plane = f.permute(f.reshape(x, [batch, height, tokens / height, width]), [0, 3, 1, 2]);
  const border = [0, 0, size - 1, size - 1];
  const padded = f.pad(plane, border, random.next() < 0.5 ? border : [0, 0, 0, 0]);
  const step = random.pick([1, 1, 2]);
  const patches = f.unfold(f.unfold(padded, 2, size, step), 3, size, step);
  const [, , rows, columns] = patches.type.shape;
  const channels = random.pick(SIZES);
  const matrix = f.reshape(f.permute(patches, [0, 1, 4, 5, 2, 3]), [batch, width * size * size, rows * columns]);
  const weight = net.param('kernel', [channels, width * size * size]);
  const scale = Math.fround(1 / (size * Math.sqrt(width)));
  const y = f.add(f.mul(f.matmul(weight, matrix), scale), net.param('bias', [channels, 1]));
  return f.transpose(y);
};

/** Statistics of groups of channels, over all tokens. */
const groupNorm: Layer = (net, x) => {
  const { f, random } = net;
  const [batch, tokens, width] = x.type.shape;
  const groups = random.pick([1, 2, 3, 4, width].filter((n) => width % n === 0));
  const grouped = f.reshape(f.transpose(x), [batch, groups, width / groups, tokens]);
  const centred = f.sub(grouped, f.mean(grouped, [2, 3]));
  const normed = f.mul(centred, f.rsqrt(f.add(f.mean(f.square(centred), [2, 3]), 0.01)));
  const scaled = f.mul(f.reshape(normed, [batch, width, tokens]), net.param('scale', [width, 1]));
  return net.activated(f.transpose(f.add(scaled, net.param('shift', [width, 1]))));
};

/** Tokens mixed by a product from the left. */
const mixer: Layer = (net, x) => {
  const { f, random } = net;
  const [, tokens] = x.type.shape;
  const n = random.pick(SIZES);
  const mixed = f.mul(f.matmul(net.param('mix', [n, tokens]), net.random.next() < 0.5 ? net.normed(x) : x), 1 / tokens);
  return random.next() < 0.5 ? net.activated(mixed) : mixed;
};

/** A batched product of a value with itself. */
const gram: Layer = (net, x) => {
  const { f, random } = net;
  const [, tokens, width] = x.type.shape;
  const y = net.activated(x);
  if (random.next() < 0.5) return f.mul(f.matmul(y, f.transpose(f.tanh(x))), Math.fround(1 / width));
  return f.mul(f.matmul(f.transpose(y), f.tanh(x)), Math.fround(1 / tokens));
};

const embedded: Layer = (net, x) => {
  const { f, random } = net;
  const [batch, tokens, width] = x.type.shape;
  const rows = random.pick([2, 5, 8]);
  const labels = net.leaf('input', 'labels', random.pick([[batch], [batch, tokens]]), random.pick(['i32', 'u32']), [
    0,
    rows,
  ]);
  const found = f.gather(net.param('table', [rows, width]), labels);
  const e = labels.type.shape.length === 1 ? f.reshape(found, [batch, 1, width]) : found;
  return random.next() < 0.5 ? f.add(f.mul(x, 0.5), e) : f.concat([e, x], 1);
};

const joinedTokens: Layer = (net, x) => {
  const { f, random } = net;
  const parts = [x, net.activated(x), net.leaf('input', 'more', x.type.shape), net.normed(x)];
  const count = random.int(2, 3);
  const chosen = Array.from({ length: count }, () => random.pick(parts));
  return f.concat(chosen, random.int(0, 2));
};

const cutTokens: Layer = (net, x) => {
  const { f, random } = net;
  const axis = random.int(0, 2);
  const { shape } = x.type;
  const n = random.int(1, shape[axis]);
  return f.slice(x, [0, 0, 0].with(axis, shape[axis] - n), shape.with(axis, n));
};

/** Numbers of Philox drop some, or are added. */
const noisy: Layer = (net, x) => {
  const { f, random } = net;
  const place = f.reshape(f.iota('u32', [sizeOf(x.type.shape)], 0), x.type.shape);
  const seed = net.leaf('input', 'seed', [], 'u32', [0, 2 ** 31]);
  const words = [seed, f.constant(random.int(0, 9), 'u32'), place, f.constant(1, 'u32'), f.constant(2, 'u32')];
  const bits = f.op('shift_right', [f.op('philox', words, { lane: random.int(0, 3) }), f.constant(8, 'u32')]);
  const uniform = f.mul(f.add(f.cast(bits, 'f32'), 0.5), 2 ** -24);
  return random.next() < 0.5 ? f.select(f.compare('lt', uniform, 0.75), x, f.constant(0)) : f.add(x, uniform);
};

const pooled: Layer = (net, x) => {
  const { f, random } = net;
  const reduce = random.pick([f.mean, f.reduceMax]);
  return f.add(f.mul(x, 0.5), reduce(x, random.pick([[1], [2], [0, 1], [0, 1, 2], [1, 2], [0]])));
};

const reordered: Layer = (net, x) => {
  const { f, random } = net;
  if (random.next() < 0.5) return f.permute(x, random.permutation(3));
  const [batch, tokens, width] = x.type.shape;
  return f.reshape(
    x,
    random.pick([
      [tokens, batch, width],
      [batch, width, tokens],
      [1, batch * tokens, width],
    ]),
  );
};

const softened: Layer = ({ f }, x) => f.op('softmax', [x]);

const plain: Layer = (net, x) => net.activated(x);

const normalised: Layer = (net, x) => net.normed(x);

/** Many small values that one kernel would read. */
const crowd: Layer = (net, x) => {
  const { f, random } = net;
  const width = x.type.shape.at(-1)!;
  const count = random.int(3, 10);
  const sides = Array.from({ length: count }, () => net.leaf(random.pick(['input', 'param']), 'side', [width]));
  return f.mul(
    sides.reduce((sum, side) => f.add(sum, f.unary('sin', side)), x),
    Math.fround(1 / count),
  );
};

/** More values side by side, or added up, than a kernel binds: each as it lies in memory, turned, or computed. */
const wide: Layer = (net, x) => {
  const { f, random } = net;
  const [batch, tokens, width] = x.type.shape;
  const axis = random.int(0, 2);
  const count = random.int(6, 18);
  const side = (): Node => {
    const shape = random.next() < 0.7 ? [batch, tokens, width].with(axis, 1) : [batch, tokens, width];
    const leaf = net.leaf(random.pick(['input', 'param']), 'piece', random.next() < 0.5 ? shape : shape.toReversed());
    const turned = String(leaf.type.shape) === String(shape) ? leaf : f.permute(leaf, [2, 1, 0]);
    return random.next() < 0.3 ? net.activated(turned) : turned;
  };
  const all = f.concat([x, ...Array.from({ length: count }, side)], axis);
  const { shape } = all.type;
  if (sizeOf(shape) <= MOST_ELEMENTS && random.next() < 0.5) return all;
  const mixed = f.sum(f.mul(all, Math.fround(1 / shape[axis])), [axis]);
  return f.add(f.mul(x, 0.5), mixed);
};

const LAYERS: readonly Layer[] = [
  ...[mlp, mlp, project, modulated, attention, attention, attention, convolution, convolution, groupNorm, groupNorm],
  ...[
    mixer,
    mixer,
    gram,
    gram,
    embedded,
    joinedTokens,
    cutTokens,
    noisy,
    pooled,
    reordered,
    softened,
    plain,
    normalised,
    crowd,
    wide,
  ],
];

/** The same seed gives the same network. */
export const layersGraph = (seed: number): Case => new Network(seed).run(LAYERS);
