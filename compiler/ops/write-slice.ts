/** Writing a slice: a row of a cache, a step of what a loop stacks. In place it takes no more memory traffic than the slice. */
import { broadcastShapes, formatType, sameShape, sizeOf, type Node } from '../ir/index.ts';
import { attrNumber, defineOp, expectArity, expectSameDType, isAxis, shapeError } from './define.ts';
import { broadcastStrides, dense, dot, forEachIndex } from './dense.ts';

/** Whether a kernel that computes it in place of x walks over the value alone. */
export const writesSlice = ({ op }: Node): boolean => op === 'write_slice';

export const writeSlice = defineOp({
  name: 'write_slice',
  doc: 'write_slice(value, start, x): x with `value` in place of its elements from `start` on along `axis`. What would lie outside of x is dropped.',
  note: '`start` is a number, or one for each line along the axis. What updates a state so writes the slice and nothing else.',
  kind: 'composite',
  inMemory: true,
  type: (inputs, attrs) => {
    expectArity('write_slice', inputs, 3);
    const [value, start, x] = inputs;
    const axis = attrNumber(attrs, 'axis');
    expectSameDType('write_slice', [value, x]);
    if (!isAxis(axis, x.shape)) throw shapeError('write_slice', `no axis ${axis} in ${formatType(x)}`);
    const isPart = value.shape.length === x.shape.length && sameShape(value.shape.with(axis, x.shape[axis]), x.shape);
    if (!isPart || value.shape[axis] > x.shape[axis])
      throw shapeError('write_slice', 'the value is no part of x', `${formatType(value)} and ${formatType(x)}`);
    if (start.dtype !== 'i32')
      throw shapeError('write_slice', 'start is i32', `got ${formatType(start)}`, "cast it to 'i32'");
    const lines = x.shape.with(axis, 1);
    if (!sameShape(broadcastShapes(start.shape, lines) ?? [], lines))
      throw shapeError('write_slice', 'start does not broadcast to the lines of x', formatType(start));
    return x;
  },
  reference: ([value, start, x], attrs, type) => {
    const axis = attrNumber(attrs, 'axis');
    const out = dense(type, x.data.slice());
    const strides = [value.shape, type.shape].map((shape) => broadcastStrides(shape, shape.length));
    const starts = broadcastStrides(start.shape, type.shape.length);
    forEachIndex(value.shape, (index, flat) => {
      const at = index[axis] + start.data[dot(index.with(axis, 0), starts)];
      if (at >= 0 && at < type.shape[axis]) out.data[dot(index.with(axis, at), strides[1])] = value.data[flat];
    });
    return out;
  },
  gradient: ({ f, inputs: [value, start, x], attrs, dy }) => {
    const axis = attrNumber(attrs, 'axis');
    const { shape } = value.type;
    const places = f.add(
      f.iota(
        start.type.dtype,
        shape.map((n, i) => (i === axis ? n : 1)),
        axis,
      ),
      start,
    );
    const isInside = f.op('and', [f.compare('ge', places, 0), f.compare('lt', places, x.type.shape[axis])]);
    const read = f.select(isInside, f.takeAlong(dy, places, axis), f.constant(0, dy.type.dtype));
    return [read, null, f.op('write_slice', [f.zeros(shape, dy.type.dtype), start, dy], { axis })];
  },
  cost: ([value]) => ({ macs: 0, flops: sizeOf(value.shape) }),
  sample: (random) => {
    const shape = random.shape(1, 3);
    const axis = random.int(0, shape.length - 1);
    const lines = random.next() < 0.5 ? [] : random.broadcastable(shape.with(axis, 1));
    return {
      inputs: [
        { dtype: 'f32', shape: shape.with(axis, random.int(1, shape[axis])) },
        { dtype: 'i32', shape: lines },
        { dtype: 'f32', shape },
      ],
      attrs: { axis },
      ranges: [undefined, [-1, shape[axis] + 1]],
    };
  },
  expand: (f, [value, start, x], attrs) => {
    const axis = attrNumber(attrs, 'axis');
    const length = value.type.shape[axis];
    const places = f.iota(
      start.type.dtype,
      x.type.shape.map((n, i) => (i === axis ? n : 1)),
      axis,
    );
    const offset = f.sub(places, start);
    if (length === 1) return f.select(f.compare('eq', offset, 0), value, x);
    const isInside = f.op('and', [f.compare('ge', offset, 0), f.compare('lt', offset, length)]);
    return f.select(isInside, f.takeAlong(value, offset, axis), x);
  },
});
