/** View ops: every element of the result is one element of an operand, found by index arithmetic. */
import { formatShape, formatType, isInteger, sameShape, sizeOf, stridesOf, type Node, type TensorType } from '../ir/index.ts';
import {
  attrList,
  attrNumber,
  defineOp,
  expectArity,
  expectSameDType,
  free,
  shapeError,
} from './define.ts';
import { broadcastStrides, dense, dot, fill, forEachIndex } from './dense.ts';
import type { Functional } from './functional.ts';
import type { Random } from './random.ts';

export const reshape = defineOp({
  name: 'reshape',
  doc: 'The same elements in row-major order under another shape.',
  kind: 'view',
  type: (inputs, attrs) => {
    expectArity('reshape', inputs, 1);
    const shape = attrList(attrs, 'shape');
    if (sizeOf(shape) !== sizeOf(inputs[0].shape) || shape.some((n) => !(n >= 1))) {
      throw shapeError(
        'reshape',
        'element counts differ',
        `${formatShape(inputs[0].shape)} has ${sizeOf(inputs[0].shape)}, ${formatShape(shape)} has ${sizeOf(shape)}`,
      );
    }
    return { dtype: inputs[0].dtype, shape };
  },
  reference: ([x], _attrs, type) => dense(type, x.data),
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
    if (!sameShape([...perm].sort((a, b) => a - b), shape.map((_, i) => i))) {
      throw shapeError('permute', `not a permutation of ${shape.length} axes`, `[${perm}]`);
    }
    return { dtype, shape: perm.map((axis) => shape[axis]) };
  },
  reference: ([x], attrs, type) => {
    const strides = stridesOf(x.shape);
    const moved = attrList(attrs, 'perm').map((axis) => strides[axis]);
    return fill(type, (index) => x.data[dot(index, moved)]);
  },
  gradient: ({ f, attrs, dy }) => {
    const perm = attrList(attrs, 'perm');
    return [f.permute(dy, perm.map((_, i) => perm.indexOf(i)))];
  },
  cost: free,
  sample: (random) => {
    const shape = random.shape(1, 4);
    return { inputs: [{ dtype: 'f32', shape }], attrs: { perm: random.permutation(shape.length) } };
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
    if (lead < 0 || from.some((n, i) => n !== 1 && n !== shape[lead + i])) {
      throw shapeError('broadcast', `${formatShape(from)} does not broadcast to ${formatShape(shape)}`);
    }
    return { dtype: inputs[0].dtype, shape };
  },
  reference: ([x], _attrs, type) => {
    const strides = broadcastStrides(x.shape, type.shape.length);
    return fill(type, (index) => x.data[dot(index, strides)]);
  },
  gradient: ({ dy }) => [dy],
  cost: free,
  sample: (random) => {
    const shape = random.shape(1, 4);
    return { inputs: [{ dtype: 'f32', shape: random.broadcastable(shape) }], attrs: { shape } };
  },
});

export const slice = defineOp({
  name: 'slice',
  doc: '`size` elements from `start` in steps of `step`, along each axis.',
  kind: 'view',
  type: (inputs, attrs) => {
    expectArity('slice', inputs, 1);
    const [start, size, step] = ['start', 'size', 'step'].map((name) => attrList(attrs, name));
    const { dtype, shape } = inputs[0];
    const rank = shape.length;
    if (start.length !== rank || size.length !== rank || step.length !== rank) {
      throw shapeError('slice', `start, size and step need ${rank} entries each for ${formatShape(shape)}`);
    }
    for (let i = 0; i < rank; i++) {
      if (start[i] < 0 || size[i] < 1 || step[i] < 1 || start[i] + (size[i] - 1) * step[i] >= shape[i]) {
        const range = `${start[i]} + ${size[i]}·${step[i]}`;
        throw shapeError('slice', `axis ${i} of ${formatShape(shape)} has no elements ${range}`);
      }
    }
    return { dtype, shape: size };
  },
  reference: ([x], attrs, type) => {
    const strides = stridesOf(x.shape);
    const start = dot(attrList(attrs, 'start'), strides);
    const steps = attrList(attrs, 'step').map((step, i) => step * strides[i]);
    return fill(type, (index) => x.data[start + dot(index, steps)]);
  },
  gradient: ({ f, inputs: [x], attrs, dy }) => {
    const [start, size, step] = ['start', 'size', 'step'].map((name) => attrList(attrs, name));
    const { shape } = x.type;
    const spread = spreadSteps(f, dy, step);
    const high = shape.map((n, i) => n - start[i] - ((size[i] - 1) * step[i] + 1));
    return [start.some(Boolean) || high.some(Boolean) ? f.pad(spread, start, high) : spread];
  },
  cost: free,
  sample: (random) => {
    const shape = random.shape(1, 4);
    const step = shape.map(() => random.int(1, 2));
    const start = shape.map((n) => random.int(0, n - 1));
    const size = shape.map((n, i) => random.int(1, Math.floor((n - 1 - start[i]) / step[i]) + 1));
    return { inputs: [{ dtype: 'f32', shape }], attrs: { start, size, step } };
  },
});

/** Puts step−1 zeros between the elements of each axis: the adjoint of a strided slice. */
function spreadSteps(f: Functional, x: Node, step: readonly number[]): Node {
  let out = x;
  step.forEach((s, axis) => {
    if (s === 1) return;
    const shape = out.type.shape;
    const at = (n: number) => shape.map((_, i) => (i === axis ? n : 0));
    const column = f.reshape(out, [...shape.slice(0, axis + 1), 1, ...shape.slice(axis + 1)]);
    const high = [...shape.slice(0, axis + 1).map(() => 0), s - 1, ...shape.slice(axis + 1).map(() => 0)];
    const padded = f.pad(column, high.map(() => 0), high);
    const flat = f.reshape(padded, shape.map((n, i) => (i === axis ? n * s : n)));
    out = f.slice(flat, at(0), shape.map((n, i) => (i === axis ? (n - 1) * s + 1 : n)));
  });
  return out;
}

export const concat = defineOp({
  name: 'concat',
  doc: 'Operands one after the other along `axis`.',
  kind: 'view',
  type: (inputs, attrs) => {
    const axis = attrNumber(attrs, 'axis');
    if (!inputs.length) throw shapeError('concat', 'takes at least one operand');
    expectSameDType('concat', inputs);
    const [{ dtype, shape }] = inputs;
    for (const other of inputs) {
      const agrees = other.shape.length === shape.length && other.shape.every((n, i) => i === axis || n === shape[i]);
      if (!agrees) throw shapeError('concat', `operands differ outside axis ${axis}`, inputs.map(formatType).join(', '));
    }
    const length = inputs.reduce((sum, t) => sum + t.shape[axis], 0);
    return { dtype, shape: shape.map((n, i) => (i === axis ? length : n)) };
  },
  reference: (inputs, attrs, type) => {
    const axis = attrNumber(attrs, 'axis');
    const out = dense(type);
    const strides = stridesOf(type.shape);
    let offset = 0;
    for (const x of inputs) {
      forEachIndex(x.shape, (index, flat) => (out.data[offset * strides[axis] + dot(index, strides)] = x.data[flat]));
      offset += x.shape[axis];
    }
    return out;
  },
  gradient: ({ f, inputs, attrs, dy }) => {
    const axis = attrNumber(attrs, 'axis');
    let offset = 0;
    return inputs.map((x) => {
      const start = x.type.shape.map((_, i) => (i === axis ? offset : 0));
      offset += x.type.shape[axis];
      return f.slice(dy, start, x.type.shape);
    });
  },
  cost: free,
  sample: (random) => {
    const shape = random.shape(1, 3);
    const axis = random.int(0, shape.length - 1);
    const inputs = Array.from({ length: random.int(1, 3) }, (): TensorType => {
      return { dtype: 'f32', shape: shape.map((n, i) => (i === axis ? random.int(1, 5) : n)) };
    });
    return { inputs, attrs: { axis } };
  },
});

export const pad = defineOp({
  name: 'pad',
  doc: '`low[i]` and `high[i]` copies of `value` before and after axis i.',
  kind: 'view',
  type: (inputs, attrs) => {
    expectArity('pad', inputs, 1);
    const [low, high] = [attrList(attrs, 'low'), attrList(attrs, 'high')];
    const { dtype, shape } = inputs[0];
    const bad = (list: readonly number[]) => list.length !== shape.length || list.some((n) => !(n >= 0));
    if (bad(low) || bad(high)) throw shapeError('pad', `low and high need ${shape.length} sizes of at least 0`);
    return { dtype, shape: shape.map((n, i) => n + low[i] + high[i]) };
  },
  reference: ([x], attrs, type) => {
    const low = attrList(attrs, 'low');
    const strides = stridesOf(x.shape);
    return fill(type, (index) => {
      const inside = index.every((n, i) => n >= low[i] && n < low[i] + x.shape[i]);
      return inside ? x.data[dot(index.map((n, i) => n - low[i]), strides)] : attrNumber(attrs, 'value');
    });
  },
  gradient: ({ f, inputs: [x], attrs, dy }) => [f.slice(dy, attrList(attrs, 'low'), x.type.shape)],
  cost: free,
  sample: (random) => {
    const shape = random.shape(1, 3, 5);
    const border = () => shape.map(() => random.int(0, 2));
    return { inputs: [{ dtype: 'f32', shape }], attrs: { low: border(), high: border(), value: random.pick([0, 0.5]) } };
  },
});

export const gather = defineOp({
  name: 'gather',
  doc: 'Rows of a table: gather(table [n, …rest], index […batch]) is […batch, …rest]. Indices are clamped to [0, n−1].',
  kind: 'view',
  type: (inputs) => {
    expectArity('gather', inputs, 2);
    const [table, index] = inputs;
    if (!isInteger(index.dtype)) throw shapeError('gather', 'indices are i32 or u32', `got ${formatType(index)}`);
    if (!table.shape.length) throw shapeError('gather', 'the table needs at least one axis');
    return { dtype: table.dtype, shape: [...index.shape, ...table.shape.slice(1)] };
  },
  reference: ([table, index], _attrs, type) => {
    const rest = sizeOf(table.shape.slice(1));
    const out = dense(type);
    index.data.forEach((row, i) => {
      const at = Math.min(Math.max(row, 0), table.shape[0] - 1) * rest;
      out.data.set(table.data.subarray(at, at + rest), i * rest);
    });
    return out;
  },
  // Row r of the table's gradient sums dy over the positions that read row r: a fixed order, no atomics.
  gradient: ({ f, inputs: [table, index], dy }) => {
    const rows = table.type.shape[0];
    const count = sizeOf(index.type.shape);
    const rest = table.type.shape.slice(1);
    const flat = f.reshape(index, [1, count]);
    const bounded = f.max(f.min(flat, rows - 1), 0);
    const hit = f.compare('eq', bounded, f.iota(index.type.dtype, [rows, count], 0));
    const oneHot = f.cast(hit, 'f32');
    const grad = f.matmul(oneHot, f.reshape(dy, [count, sizeOf(rest)]));
    return [f.reshape(grad, table.type.shape), null];
  },
  cost: free,
  sample: (random: Random) => {
    const table = [random.int(1, 9), ...random.shape(0, 2)];
    const dtype = random.pick(['i32', 'u32'] as const);
    return {
      inputs: [
        { dtype: 'f32', shape: table },
        { dtype, shape: random.shape(0, 2, 5) },
      ],
      attrs: {},
      ranges: [undefined, [0, table[0]]],
    };
  },
});
