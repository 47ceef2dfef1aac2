/** Running sums along an axis: recurrences that are linear in what they carry, of any length, without a loop in the graph. */
import { formatShape, formatType, sameShape, sizeOf, stridesOf, type Node, type Shape } from '../ir/index.ts';
import { attrNumber, broadcastOrThrow, defineOp, expectFloat, expectSameDType, isAxis, shapeError } from './define.ts';
import { broadcastStrides, dense, dot, forEachIndex } from './dense.ts';
import type { Functional } from './functional.ts';

export const scan = defineOp({
  name: 'scan',
  doc: 'hₜ = xₜ + aₜ·hₜ₋₁ along `axis`, h before the first is 0: x, and a, which broadcasts to x and is 1 where it is left out.',
  note: 'Blelloch 1990. A kernel walks along the axis; where the lines are few and long, ⌈log₂ n⌉ passes over all elements are as good.',
  kind: 'contract',
  contraction: 'scan',
  type: (inputs, attrs) => {
    if (inputs.length !== 1 && inputs.length !== 2)
      throw shapeError('scan', 'takes x and maybe a', `got ${inputs.length}`);
    const [x, ...factors] = inputs;
    const axis = attrNumber(attrs, 'axis');
    if (!isAxis(axis, x.shape)) throw shapeError('scan', `no axis ${axis} in ${formatShape(x.shape)}`);
    if (x.dtype === 'bool') throw shapeError('scan', 'does not take bool', undefined, "cast it to 'i32' first");
    if (!factors.length) return x;
    expectFloat('scan', ...inputs);
    expectSameDType('scan', inputs);
    if (!sameShape(broadcastOrThrow('scan', inputs), x.shape) || factors[0].shape.length !== x.shape.length) {
      const why = inputs.map(formatType).join(' and ');
      throw shapeError('scan', 'the factors do not broadcast to x', why, 'broadcast x, or unsqueeze them');
    }
    return x;
  },
  reference: ([x, a], attrs, type) => {
    const axis = attrNumber(attrs, 'axis');
    const out = dense(type);
    const step = stridesOf(type.shape)[axis];
    const factors = a && broadcastStrides(a.shape, type.shape.length);
    const within =
      type.dtype === 'i32' ? (h: number) => h | 0 : type.dtype === 'u32' ? (h: number) => h >>> 0 : (h: number) => h;
    forEachIndex(type.shape, (index, flat) => {
      const before = index[axis] ? out.data[flat - step] : 0;
      out.data[flat] = within(x.data[flat] + (factors ? a.data[dot(index, factors)] : 1) * before);
    });
    return out;
  },
  many: ({ attrs }, [x, ...factors], { f, apply, repeated, aligned }) => {
    const led = factors.map((a) => (a.many ? aligned(a) : f.reshape(a.node, [1, ...a.node.type.shape])));
    return apply([repeated(x), ...led], { axis: attrNumber(attrs, 'axis') + 1 });
  },
  // gₜ = dyₜ + aₜ₊₁·gₜ₊₁ runs from the last to the first; dx = g and daₜ = gₜ·hₜ₋₁.
  gradient: ({ f, inputs: [, a], attrs, out, dy }) => {
    const axis = attrNumber(attrs, 'axis');
    const backwards = (x: Node) => f.flip(x, [axis]);
    const isOne = a?.type.shape[axis] === 1;
    const factors = a && (isOne ? a : delayed(f, backwards(a), axis, 1));
    const g = backwards(f.op('scan', [backwards(dy), ...(factors ? [factors] : [])], { axis }));
    return a ? [g, f.mul(g, delayed(f, out, axis, 1))] : [g];
  },
  cost: (inputs, _attrs, { shape }) => ({ macs: 0, flops: inputs.length * sizeOf(shape) }),
  sample: (random) => {
    const shape = random.shape(1, 3, 9);
    const axis = random.int(0, shape.length - 1);
    const inputs = [{ dtype: random.next() < 0.8 ? ('f32' as const) : ('i32' as const), shape }];
    if (inputs[0].dtype === 'f32' && random.next() < 0.7)
      inputs.push({ dtype: 'f32', shape: shape.map((n) => (random.next() < 0.3 ? 1 : n)) });
    return { inputs, attrs: { axis }, ranges: [undefined, [-1, 1]] };
  },
  expand: (f, [x, a], attrs) => {
    const axis = attrNumber(attrs, 'axis');
    const n = x.type.shape[axis];
    let [h, factors] = [x, a && f.broadcast(a, x.type.shape)];
    // After each pass h is the sum of twice as many: Hillis & Steele 1986.
    for (let by = 1; by < n; by *= 2) {
      const before = delayed(f, h, axis, by);
      // Nothing comes before the first, whatever their factors: also where these are infinite.
      h = f.add(h, factors ? f.mul(onward(f, factors, axis, by), before) : before);
      if (factors && by * 2 < n) factors = f.mul(factors, delayed(f, factors, axis, by));
    }
    return h;
  },
});

/** The elements from `by` on where they are, zeros before them. */
function onward(f: Functional, x: Node, axis: number, by: number): Node {
  const { shape } = x.type;
  const none = shape.map(() => 0);
  const kept = f.slice(x, none.with(axis, by), shape.with(axis, shape[axis] - by));
  return f.pad(kept, none.with(axis, by), none);
}

/** Each element `by` places later, zeros before them. */
function delayed(f: Functional, x: Node, axis: number, by: number): Node {
  const { shape } = x.type;
  const none = shape.map(() => 0);
  if (by >= shape[axis]) return f.constant(0, x.type.dtype, shape);
  const kept: Shape = shape.with(axis, shape[axis] - by);
  return f.pad(f.slice(x, none, kept), none.with(axis, by), none);
}
