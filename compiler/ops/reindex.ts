/** Views that keep every element: another shape, another order of axes, repeated axes. */
import { formatShape, sameShape, sizeOf, stridesOf } from '../ir/index.ts';
import { areSizes, attrList, defineOp, expectArity, free, isAxis, shapeError } from './define.ts';
import { broadcastStrides, dense, dot, fill } from './dense.ts';
import { broadcastIndex, reshapeIndex, type ViewDef } from './view.ts';

export const reshape = defineOp({
  name: 'reshape',
  doc: 'The same elements in row-major order under another shape.',
  kind: 'view',
  type: (inputs, attrs) => {
    expectArity('reshape', inputs, 1);
    const shape = attrList(attrs, 'shape');
    if (!areSizes(shape, 1)) {
      throw shapeError(
        'reshape',
        'sizes are whole numbers of at least 1',
        `got ${formatShape(shape)}`,
        'check the sizes',
      );
    }
    if (sizeOf(shape) !== sizeOf(inputs[0].shape)) {
      throw shapeError(
        'reshape',
        'element counts differ',
        `${formatShape(inputs[0].shape)} has ${sizeOf(inputs[0].shape)}, ${formatShape(shape)} has ${sizeOf(shape)}`,
        'check the sizes; one of them may be −1',
      );
    }
    return { dtype: inputs[0].dtype, shape };
  },
  reference: ([x], _attrs, type) => dense(type, x.data),
  view: {
    sources: (ix, index, { inputs: [x], type }) => [
      { operand: 0, index: reshapeIndex(ix, index, type.shape, x.type.shape) },
    ],
    placeOf: (ix, index, { inputs: [x], type }) => reshapeIndex(ix, index, x.type.shape, type.shape),
    keepsOrder: true,
    narrowed: (attrs, axis, size, { shape }) => ({ ...attrs, shape: shape.with(axis, size) }),
  },
  many: ({ type }, [{ node }], { apply, count }) => apply([node], { shape: [count, ...type.shape] }),
  gradient: ({ f, inputs: [x], dy }) => [f.reshape(dy, x.type.shape)],
  cost: free,
  sample: (random) => {
    const shape = random.shape(1, 4);
    const factors = shape.flatMap((n) => (n % 2 === 0 ? [2, n / 2] : [n]));
    const merged = factors.length > 1 && random.next() < 0.5 ? [factors[0] * factors[1], ...factors.slice(2)] : factors;
    return { inputs: [{ dtype: 'f32', shape }], attrs: { shape: merged } };
  },
});

export const permute = defineOp({
  name: 'permute',
  doc: 'Axis i of the result is axis perm[i] of the operand.',
  kind: 'view',
  type: (inputs, attrs) => {
    expectArity('permute', inputs, 1);
    const perm = attrList(attrs, 'perm');
    const { dtype, shape } = inputs[0];
    if (
      !sameShape(
        [...perm].sort((a, b) => a - b),
        shape.map((_, i) => i),
      )
    ) {
      throw shapeError(
        'permute',
        `not a permutation of ${shape.length} axes`,
        `[${perm}]`,
        `name each axis from 0 to ${shape.length - 1} once`,
      );
    }
    return { dtype, shape: perm.map((axis) => shape[axis]) };
  },
  reference: ([x], attrs, type) => {
    const strides = stridesOf(x.shape);
    const moved = attrList(attrs, 'perm').map((axis) => strides[axis]);
    return fill(type, (index) => x.data[dot(index, moved)]);
  },
  view: {
    sources: (_ix, index, { attrs }) => {
      const perm = attrList(attrs, 'perm');
      return [{ operand: 0, index: perm.map((_, axis) => index[perm.indexOf(axis)]) }];
    },
    placeOf: (_ix, index, { attrs }) => attrList(attrs, 'perm').map((axis) => index[axis]),
    narrowed: (attrs) => attrs,
  },
  many: ({ attrs }, [{ node }], { apply }) =>
    apply([node], { perm: [0, ...attrList(attrs, 'perm').map((axis) => axis + 1)] }),
  gradient: ({ f, attrs, dy }) => {
    const perm = attrList(attrs, 'perm');
    return [
      f.permute(
        dy,
        perm.map((_, i) => perm.indexOf(i)),
      ),
    ];
  },
  cost: free,
  sample: (random) => {
    const shape = random.shape(1, 4);
    return { inputs: [{ dtype: 'f32', shape }], attrs: { perm: random.permutation(shape.length) } };
  },
});

/** Where an element is that comes from `index`, and the other way round: each axis of `axes` is counted from its end. */
const backwards: ViewDef['sources'] = (ix, index, { attrs, type: { shape } }) => {
  const axes = attrList(attrs, 'axes');
  const place = index.map((i, axis) => (axes.includes(axis) ? ix.opposite(i, shape[axis] - 1) : i));
  return [{ operand: 0, index: place }];
};

export const flip = defineOp({
  name: 'flip',
  doc: 'The elements in the opposite order along `axes`.',
  kind: 'view',
  type: (inputs, attrs) => {
    expectArity('flip', inputs, 1);
    const axes = attrList(attrs, 'axes');
    const { shape } = inputs[0];
    if (!axes.length || !axes.every((axis, i) => isAxis(axis, shape) && (i === 0 || axis > axes[i - 1])))
      throw shapeError('flip', `axes [${axes}] are not axes of ${formatShape(shape)} in order`);
    return inputs[0];
  },
  reference: ([x], attrs, type) => {
    const axes = attrList(attrs, 'axes');
    const strides = stridesOf(x.shape);
    return fill(type, (index) => {
      const from = index.map((i, axis) => (axes.includes(axis) ? x.shape[axis] - 1 - i : i));
      return x.data[dot(from, strides)];
    });
  },
  view: {
    sources: backwards,
    placeOf: (ix, index, view) => backwards(ix, index, view)[0].index,
    narrowed: (attrs) => attrs,
  },
  many: ({ attrs }, [{ node }], { apply }) => apply([node], { axes: attrList(attrs, 'axes').map((axis) => axis + 1) }),
  gradient: ({ f, attrs, dy }) => [f.flip(dy, attrList(attrs, 'axes'))],
  cost: free,
  sample: (random) => {
    const shape = random.shape(1, 4);
    const axes = shape.map((_, axis) => axis).filter(() => random.next() < 0.5);
    return { inputs: [{ dtype: 'f32', shape }], attrs: { axes: axes.length ? axes : [0] } };
  },
});

export const broadcast = defineOp({
  name: 'broadcast',
  doc: 'Repeats axes of size 1, and new leading axes, up to `shape`.',
  kind: 'view',
  type: (inputs, attrs) => {
    expectArity('broadcast', inputs, 1);
    const shape = attrList(attrs, 'shape');
    const from = inputs[0].shape;
    const lead = shape.length - from.length;
    if (lead < 0 || !areSizes(shape, 1) || from.some((n, i) => n !== 1 && n !== shape[lead + i])) {
      throw shapeError(
        'broadcast',
        `${formatShape(from)} does not broadcast to ${formatShape(shape)}`,
        'only axes of size 1 are repeated, and new ones come first',
        'unsqueeze or reshape it, or check the sizes',
      );
    }
    return { dtype: inputs[0].dtype, shape };
  },
  reference: ([x], _attrs, type) => {
    const strides = broadcastStrides(x.shape, type.shape.length);
    return fill(type, (index) => x.data[dot(index, strides)]);
  },
  view: {
    sources: (_ix, index, { inputs: [x] }) => [{ operand: 0, index: broadcastIndex(index, x.type.shape) }],
    narrowed: (attrs, axis, size, { shape }) => ({ ...attrs, shape: shape.with(axis, size) }),
  },
  many: ({ type }, [x], { apply, aligned, count }) => apply([aligned(x)], { shape: [count, ...type.shape] }),
  gradient: ({ dy }) => [dy],
  cost: free,
  sample: (random) => {
    const shape = random.shape(1, 4);
    return { inputs: [{ dtype: 'f32', shape: random.broadcastable(shape) }], attrs: { shape } };
  },
});
