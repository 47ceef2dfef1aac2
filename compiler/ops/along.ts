/** Elements chosen along an axis by data, and the adjoint: elements added up where data says. */
import { formatShape, formatType, isInteger, sizeOf, stridesOf, type Shape, type TensorType } from '../ir/index.ts';
import { attrNumber, broadcastOrThrow, defineOp, expectArity, free, isAxis, shapeError } from './define.ts';
import { broadcastStrides, dense, dot, fill, forEachIndex } from './dense.ts';
import type { ManyBuilder, ManyOperand } from './kinds.ts';
import type { Random } from './random.ts';
import { broadcastIndex } from './view.ts';

/** Throws unless `index` holds integers and both have the axis. */
function expectAlong(op: string, [x, index]: readonly TensorType[], axis: number): void {
  if (!isInteger(index.dtype))
    throw shapeError(op, 'indices are i32 or u32', `got ${formatType(index)}`, "cast them to 'i32'");
  if (x.shape.length !== index.shape.length) {
    const why = `${formatShape(x.shape)} and ${formatShape(index.shape)}`;
    throw shapeError(op, 'values and indices have as many axes', why, 'unsqueeze one of them');
  }
  if (!isAxis(axis, x.shape)) throw shapeError(op, `no axis ${axis} in ${formatShape(x.shape)}`);
}

/** Shapes broadcast, but for one axis; the result has `size` there. */
const broadcastBeside = (op: string, types: readonly TensorType[], axis: number, size: number): Shape =>
  broadcastOrThrow(
    op,
    types.map((type) => ({ ...type, shape: type.shape.with(axis, 1) })),
  ).with(axis, size);

/** With the leading axis of many values; of size 1 where it is the same for all. */
const led = (operand: ManyOperand, { f, aligned }: ManyBuilder) =>
  operand.many ? aligned(operand) : f.reshape(operand.node, [1, ...operand.node.type.shape]);

export const takeAlong = defineOp({
  name: 'take_along',
  doc: 'out[…, j, …] = x[…, index[…, j, …], …] along `axis`; other axes broadcast. Indices are clamped to [0, n−1].',
  kind: 'view',
  type: (inputs, attrs) => {
    expectArity('take_along', inputs, 2);
    const axis = attrNumber(attrs, 'axis');
    expectAlong('take_along', inputs, axis);
    const shape = broadcastBeside('take_along', inputs, axis, inputs[1].shape[axis]);
    return { dtype: inputs[0].dtype, shape };
  },
  reference: ([x, index], attrs, type) => {
    const axis = attrNumber(attrs, 'axis');
    const rank = type.shape.length;
    const stride = stridesOf(x.shape)[axis];
    const beside = broadcastStrides(x.shape, rank).with(axis, 0);
    const chosen = broadcastStrides(index.shape, rank);
    return fill(type, (at) => {
      const row = Math.min(Math.max(index.data[dot(at, chosen)], 0), x.shape[axis] - 1);
      return x.data[dot(at, beside) + row * stride];
    });
  },
  view: {
    sources: (ix, index, { inputs: [x, chosen], attrs }) => {
      const axis = attrNumber(attrs, 'axis');
      const row = ix.element(chosen, broadcastIndex(index, chosen.type.shape), x.type.shape[axis] - 1);
      return [{ operand: 0, index: broadcastIndex(index, x.type.shape).with(axis, row) }];
    },
    rows: { index: 1, table: 0, axis: (attrs) => attrNumber(attrs, 'axis') },
  },
  many: ({ attrs }, operands, build) =>
    build.apply(
      operands.map((operand) => led(operand, build)),
      { axis: attrNumber(attrs, 'axis') + 1 },
    ),
  gradient: ({ f, inputs: [x, index], attrs, dy }) => {
    const axis = attrNumber(attrs, 'axis');
    const size = x.type.shape[axis];
    return [f.scatterAdd(f.max(f.min(index, size - 1), 0), dy, axis, size), null];
  },
  cost: free,
  sample: (random) => {
    const { shape, axis } = place(random);
    const n = random.int(1, 9);
    const [x, index] = [shape.with(axis, n), shape].map((full) => thinned(random, full, axis));
    const dtype = random.pick(['i32', 'u32'] as const);
    return {
      inputs: [
        { dtype: 'f32', shape: x },
        { dtype, shape: index },
      ],
      attrs: { axis },
      ranges: [undefined, [0, n]],
    };
  },
});

/** Each is summed in the order of its elements: no atomics, and the same bits every time. */
export const scatterAdd = defineOp({
  name: 'scatter_add',
  doc: 'out[…, i, …] = Σ updates[…, j, …] where index[…, j, …] = i < `size`, along `axis`; index and updates broadcast.',
  kind: 'composite',
  type: (inputs, attrs) => {
    expectArity('scatter_add', inputs, 2);
    const [index, updates] = inputs;
    const [axis, size] = [attrNumber(attrs, 'axis'), attrNumber(attrs, 'size')];
    if (!Number.isSafeInteger(size) || size < 1)
      throw shapeError('scatter_add', 'size is a whole number of at least 1', `got ${size}`);
    if (updates.dtype === 'bool') throw shapeError('scatter_add', 'does not add bool', undefined, "cast it to 'i32'");
    expectAlong('scatter_add', [updates, index], axis);
    return { dtype: updates.dtype, shape: broadcastOrThrow('scatter_add', inputs).with(axis, size) };
  },
  reference: ([index, updates], attrs, type) => {
    const axis = attrNumber(attrs, 'axis');
    const out = dense(type);
    const strides = stridesOf(type.shape);
    const length = Math.max(index.shape[axis], updates.shape[axis]);
    const [where, from] = [index, updates].map((x) => broadcastStrides(x.shape, type.shape.length));
    forEachIndex(type.shape.with(axis, length), (at) => {
      const i = index.data[dot(at, where)];
      if (i >= 0 && i < type.shape[axis]) out.data[dot(at.with(axis, i), strides)] += updates.data[dot(at, from)];
    });
    return out;
  },
  many: ({ attrs }, operands, build) =>
    build.apply(
      operands.map((operand) => led(operand, build)),
      { axis: attrNumber(attrs, 'axis') + 1 },
    ),
  gradient: ({ f, inputs: [index], attrs, dy }) => {
    const inside = f.op('and', [f.compare('ge', index, 0), f.compare('lt', index, attrNumber(attrs, 'size'))]);
    const taken = f.takeAlong(dy, index, attrNumber(attrs, 'axis'));
    return [null, f.select(inside, taken, f.constant(0, dy.type.dtype))];
  },
  cost: (inputs, attrs, { shape }) => {
    const axis = attrNumber(attrs, 'axis');
    const length = Math.max(...inputs.map((type) => type.shape[axis]));
    return { macs: 0, flops: sizeOf(shape.with(axis, length)) };
  },
  sample: (random) => {
    const { shape, axis } = place(random);
    const size = random.int(1, 6);
    const [index, updates] = [shape, shape].map((full) => thinned(random, full, axis));
    const dtype = random.pick(['i32', 'u32'] as const);
    return {
      inputs: [
        { dtype, shape: index },
        { dtype: 'f32', shape: updates },
      ],
      attrs: { axis, size },
      ranges: [[dtype === 'i32' ? -1 : 0, size + 1], undefined],
    };
  },
  // Each place asks all updates whether they are for it; nothing of the size of both is written to memory.
  expand: (f, [index, updates], attrs, type) => {
    const [axis, size] = [attrNumber(attrs, 'axis'), attrNumber(attrs, 'size')];
    const apart = (shape: Shape) => shape.toSpliced(axis, 0, 1);
    const [wanted, values] = [index, updates].map((x) => f.reshape(x, apart(x.type.shape)));
    const places = f.iota(
      index.type.dtype,
      type.shape.map((_, i) => (i === axis ? size : 1)).toSpliced(axis + 1, 0, 1),
      axis,
    );
    const hits = f.select(f.compare('eq', wanted, places), values, f.constant(0, type.dtype));
    return f.reshape(hits.type.shape[axis + 1] === 1 ? hits : f.sum(hits, [axis + 1]), type.shape);
  },
});

const place = (random: Random): { shape: number[]; axis: number } => {
  const shape = random.shape(1, 3, 5);
  return { shape, axis: random.int(0, shape.length - 1) };
};

/** The shape with some axes of size 1, other than one. */
const thinned = (random: Random, shape: Shape, axis: number): number[] =>
  shape.map((n, i) => (i !== axis && random.next() < 0.3 ? 1 : n));
