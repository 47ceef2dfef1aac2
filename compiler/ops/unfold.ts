/** Overlapping windows as a view: a convolution is a matrix product over them, and nobody writes them to memory. */
import { formatShape, stridesOf, type Node } from '../ir/index.ts';
import { attrNumber, defineOp, expectArity, free, isAxis, shapeError } from './define.ts';
import { spreadSteps } from './cut.ts';
import { dot, fill } from './dense.ts';
import type { Functional } from './functional.ts';
import { overlapAddOfProduct } from './transposed-product.ts';

export const unfold = defineOp({
  name: 'unfold',
  doc: 'Windows along `axis` as a new last axis: element w of window o is x at o·step + w·dilation, w < size. Only whole windows.',
  kind: 'view',
  type: (inputs, attrs) => {
    expectArity('unfold', inputs, 1);
    const [{ dtype, shape }] = inputs;
    const axis = attrNumber(attrs, 'axis');
    if (!isAxis(axis, shape)) throw shapeError('unfold', `no axis ${axis} in ${formatShape(shape)}`);
    const [size, step, dilation] = ['size', 'step', 'dilation'].map((name) => attrNumber(attrs, name));
    if (![size, step, dilation].every((n) => Number.isSafeInteger(n) && n >= 1)) {
      const given = `size ${size}, step ${step}, dilation ${dilation}`;
      throw shapeError('unfold', 'size, step and dilation are whole numbers of at least 1', given);
    }
    const span = (size - 1) * dilation + 1;
    if (span > shape[axis]) {
      const why = `axis ${axis} of ${formatShape(shape)} is shorter than ${span}`;
      throw shapeError('unfold', 'no window fits', why, 'pad it, or use a smaller window');
    }
    const count = Math.floor((shape[axis] - span) / step) + 1;
    return { dtype, shape: [...shape.map((n, i) => (i === axis ? count : n)), size] };
  },
  reference: ([x], attrs, type) => {
    const strides = stridesOf(x.shape);
    const [axis, step, dilation] = ['axis', 'step', 'dilation'].map((name) => attrNumber(attrs, name));
    const moved = [...strides.map((s, i) => (i === axis ? s * step : s)), strides[axis] * dilation];
    return fill(type, (index) => x.data[dot(index, moved)]);
  },
  view: {
    sources: (ix, index, { attrs }) => {
      const [axis, step, dilation] = ['axis', 'step', 'dilation'].map((name) => attrNumber(attrs, name));
      const within = ix.scale(index[index.length - 1], dilation);
      const place = ix.add(ix.scale(index[axis], step), within);
      return [{ operand: 0, index: index.slice(0, -1).with(axis, place) }];
    },
    // Of a single window its own elements may be the ones that are parted.
    narrowed: (attrs, axis, size, { shape }) => (axis === shape.length - 1 ? { ...attrs, size } : attrs),
  },
  many: ({ attrs }, [{ node }], { apply }) => apply([node], { axis: attrNumber(attrs, 'axis') + 1 }),
  gradient: ({ f, inputs: [x], attrs, dy }) => {
    const [axis, step, dilation] = ['axis', 'step', 'dilation'].map((name) => attrNumber(attrs, name));
    return [overlapAdd(f, dy, x, { axis, step, dilation })];
  },
  cost: free,
  sample: (random) => {
    const shape = random.shape(1, 3, 9);
    const axis = random.int(0, shape.length - 1);
    const size = random.int(1, Math.min(4, shape[axis]));
    const dilation = size === 1 ? 1 : random.int(1, Math.min(2, Math.floor((shape[axis] - 1) / (size - 1))));
    return { inputs: [{ dtype: 'f32', shape }], attrs: { axis, size, step: random.int(1, 3), dilation } };
  },
});

/** Zeros behind an axis until it has `length` elements. */
function padEnd(f: Functional, x: Node, axis: number, length: number): Node {
  const none = x.type.shape.map(() => 0);
  const missing = length - x.type.shape[axis];
  return missing ? f.pad(x, none, none.with(axis, missing)) : x;
}

/**
 * The adjoint: each element sums what all windows say of it. Window element w lies w·dilation further on, so the rows of
 * all first elements, all second ones, … are skewed against each other (a row read `dilation` short of its length starts
 * that much later each time) and added up.
 */
function overlapAdd(
  f: Functional,
  dy: Node,
  x: Node,
  { axis, step, dilation }: { axis: number; step: number; dilation: number },
): Node {
  const rank = x.type.shape.length;
  const [count, size] = [dy.type.shape[axis], dy.type.shape[rank]];
  const product = size > 1 ? overlapAddOfProduct(f, dy, { axis, step, dilation }) : undefined;
  if (product) return padEnd(f, product, axis, x.type.shape[axis]);
  // […, w, o]: rows of one w each, last.
  const others = x.type.shape.map((_, i) => i).filter((i) => i !== axis);
  const rows = f.permute(dy, [...others, rank, axis]);
  const spread = spreadSteps(f, rows, [...others.map(() => 1), 1, step]);
  const batch = others.map((i) => x.type.shape[i]);
  const none = batch.map(() => 0);
  const span = (count - 1) * step + 1 + (size - 1) * dilation;
  const padded = f.pad(spread, [...none, 0, 0], [...none, 0, span + dilation - spread.type.shape[rank]]);
  const line = f.reshape(padded, [...batch, size * (span + dilation)]);
  const cut = f.slice(line, [...none, 0], [...batch, size * span]);
  const sum = f.sum(f.reshape(cut, [...batch, size, span]), [batch.length]);
  const whole = padEnd(f, f.reshape(sum, [...batch, span]), batch.length, x.type.shape[axis]);
  // Back from last place.
  const perm = x.type.shape.map((_, i) => (i === axis ? rank - 1 : others.indexOf(i)));
  return f.permute(whole, perm);
}
