/** Views that cut and join: slice, concat and pad, each other's adjoints. */
import { formatShape, formatType, stridesOf, type Attrs, type Node, type TensorType } from '../ir/index.ts';
import {
  areSizes,
  attrList,
  attrNumber,
  defineOp,
  expectArity,
  expectSameDType,
  free,
  isAxis,
  shapeError,
} from './define.ts';
import { dense, dot, fill, forEachIndex } from './dense.ts';
import type { Functional } from './functional.ts';

const given = (attrs: Attrs): string =>
  ['start', 'size', 'step'].map((name) => `${name} [${attrList(attrs, name)}]`).join(', ');

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
    if (!areSizes(start, 0) || !areSizes(size, 1) || !areSizes(step, 1)) {
      throw shapeError('slice', 'start, size and step are whole numbers, size and step at least 1', given(attrs));
    }
    for (let i = 0; i < rank; i++) {
      if (start[i] + (size[i] - 1) * step[i] >= shape[i]) {
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
  view: {
    sources: (ix, index, { attrs }) => {
      const [start, step] = [attrList(attrs, 'start'), attrList(attrs, 'step')];
      return [{ operand: 0, index: index.map((i, axis) => ix.offset(ix.scale(i, step[axis]), start[axis])) }];
    },
    box: (attrs) => (attrList(attrs, 'step').every((step) => step === 1) ? attrList(attrs, 'start') : undefined),
    narrowed: (attrs, axis, size) => ({ ...attrs, size: attrList(attrs, 'size').with(axis, size) }),
  },
  many: ({ attrs }, [{ node }], { apply, count }) => {
    const [start, size, step] = ['start', 'size', 'step'].map((name) => attrList(attrs, name));
    return apply([node], { start: [0, ...start], size: [count, ...size], step: [1, ...step] });
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
export function spreadSteps(f: Functional, x: Node, step: readonly number[]): Node {
  let out = x;
  step.forEach((s, axis) => {
    if (s === 1) return;
    const shape = out.type.shape;
    const at = (n: number) => shape.map((_, i) => (i === axis ? n : 0));
    const column = f.reshape(out, [...shape.slice(0, axis + 1), 1, ...shape.slice(axis + 1)]);
    const high = [...shape.slice(0, axis + 1).map(() => 0), s - 1, ...shape.slice(axis + 1).map(() => 0)];
    const padded = f.pad(
      column,
      high.map(() => 0),
      high,
    );
    const flat = f.reshape(
      padded,
      shape.map((n, i) => (i === axis ? n * s : n)),
    );
    out = f.slice(
      flat,
      at(0),
      shape.map((n, i) => (i === axis ? (n - 1) * s + 1 : n)),
    );
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
    if (!isAxis(axis, shape)) throw shapeError('concat', `no axis ${axis} in ${formatShape(shape)}`);
    for (const other of inputs) {
      const agrees = other.shape.length === shape.length && other.shape.every((n, i) => i === axis || n === shape[i]);
      if (!agrees)
        throw shapeError(
          'concat',
          `operands differ outside axis ${axis}`,
          inputs.map(formatType).join(', '),
          'reshape or slice them, or join them along another axis',
        );
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
  view: {
    sources: (_ix, index, { inputs, attrs }) => {
      const axis = attrNumber(attrs, 'axis');
      let from = 0;
      return inputs.map((piece, operand) => {
        const bounds = [{ axis, from }];
        from += piece.type.shape[axis];
        return { operand, index, bounds };
      });
    },
    joins: (attrs) => attrNumber(attrs, 'axis'),
  },
  many: ({ attrs }, operands, { apply, repeated }) =>
    apply(operands.map(repeated), { axis: attrNumber(attrs, 'axis') + 1 }),
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
    const bad = (list: readonly number[]) => list.length !== shape.length || !areSizes(list, 0);
    if (bad(low) || bad(high))
      throw shapeError(
        'pad',
        `low and high need ${shape.length} sizes of at least 0`,
        `x is ${formatShape(shape)}`,
        'give one number for each axis',
      );
    return { dtype, shape: shape.map((n, i) => n + low[i] + high[i]) };
  },
  reference: ([x], attrs, type) => {
    const low = attrList(attrs, 'low');
    const strides = stridesOf(x.shape);
    return fill(type, (index) => {
      const inside = index.every((n, i) => n >= low[i] && n < low[i] + x.shape[i]);
      return inside
        ? x.data[
            dot(
              index.map((n, i) => n - low[i]),
              strides,
            )
          ]
        : attrNumber(attrs, 'value');
    });
  },
  view: {
    sources: (_ix, index, { inputs: [x], attrs }) => {
      const low = attrList(attrs, 'low');
      const bounds = low.map((from, axis) => ({ axis, from, to: from + x.type.shape[axis] }));
      return [{ operand: 0, index, bounds }];
    },
    filler: (attrs) => attrNumber(attrs, 'value'),
    narrowed: (attrs) => attrs,
  },
  many: ({ attrs }, [{ node }], { apply }) =>
    apply([node], { low: [0, ...attrList(attrs, 'low')], high: [0, ...attrList(attrs, 'high')] }),
  gradient: ({ f, inputs: [x], attrs, dy }) => [f.slice(dy, attrList(attrs, 'low'), x.type.shape)],
  cost: free,
  sample: (random) => {
    const shape = random.shape(1, 3, 5);
    const border = () => shape.map(() => random.int(0, 2));
    return {
      inputs: [{ dtype: 'f32', shape }],
      attrs: { low: border(), high: border(), value: random.pick([0, 0.5]) },
    };
  },
});
