/** Composite ops: named so that rules and reports can see them, expanded into smaller ops before scheduling. */
import { formatShape, sizeOf, type Node } from '../ir/index.ts';
import {
  attrNumber,
  contractedDType,
  defineOp,
  expectArity,
  expectFloat,
  expectSameDType,
  shapeError,
} from './define.ts';
import { dense } from './dense.ts';
import { LOWEST, LOWEST_NOTE } from './attention.ts';
import type { Random } from './random.ts';
import { rowsOf, viewParts } from './side-by-side.ts';

/** Σ a[i+l]·b[j+l] over l < n. Four sums at a time: one would wait for each addition, and large models take minutes. */
function dotProduct(a: Float64Array, i: number, b: Float64Array, j: number, n: number): number {
  let [s0, s1, s2, s3] = [0, 0, 0, 0];
  let l = 0;
  for (; l + 4 <= n; l += 4) {
    s0 += a[i + l] * b[j + l];
    s1 += a[i + l + 1] * b[j + l + 1];
    s2 += a[i + l + 2] * b[j + l + 2];
    s3 += a[i + l + 3] * b[j + l + 3];
  }
  for (; l < n; l++) s0 += a[i + l] * b[j + l];
  return s0 + s1 + (s2 + s3);
}

const LINEAR = 'x is […, k], weight [n, k], bias [n]';

export const linear = defineOp({
  name: 'linear',
  doc: 'x·Wᵀ + b over the last axis: x […, k], W [n, k] as checkpoints store it, b [n] (optional). f16 x and W give f32 with `dtype`.',
  kind: 'composite',
  multipliesRows: true,
  type: (inputs, attrs) => {
    if (inputs.length !== 2 && inputs.length !== 3)
      throw shapeError('linear', 'takes x, weight and maybe bias', `got ${inputs.length}`);
    expectFloat('linear', ...inputs);
    expectSameDType('linear', inputs.slice(0, 2));
    const dtype = contractedDType('linear', inputs, attrs);
    expectSameDType('linear', [{ dtype, shape: [] }, ...inputs.slice(2)]);
    const [x, w, b] = inputs.map((t) => t.shape);
    const k = x[x.length - 1];
    if (!x.length || w.length !== 2 || w[1] !== k) {
      throw shapeError('linear', 'inner sizes differ', `x is ${formatShape(x)}, weight is ${formatShape(w)}`, LINEAR);
    }
    if (b && (b.length !== 1 || b[0] !== w[0])) {
      throw shapeError('linear', 'bias does not fit', `weight is ${formatShape(w)}, bias is ${formatShape(b)}`, LINEAR);
    }
    return { dtype, shape: [...x.slice(0, -1), w[0]] };
  },
  reference: ([x, w, b], _attrs, type) => {
    const [n, k] = w.shape;
    const out = dense(type);
    const [xs, ws] = [x.data, w.data];
    const rows = out.data.length / n;
    // Columns outside: a row of W stays in the cache while all rows of x pass by.
    for (let column = 0; column < n; column++) {
      for (let row = 0; row < rows; row++) {
        out.data[row * n + column] = dotProduct(xs, row * k, ws, column * k, k) + (b ? b.data[column] : 0);
      }
    }
    return out;
  },
  gradient: ({ f, inputs: [x, w, b], dy }) => {
    const rows = (t: Node) => f.reshape(t, [sizeOf(t.type.shape.slice(0, -1)), t.type.shape.slice(-1)[0]]);
    const d = f.cast(rows(dy), x.type.dtype);
    const dx = f.reshape(f.matmul(d, w), x.type.shape);
    const dw = f.matmul(f.transpose(d), rows(x));
    return b ? [dx, dw, f.reshape(f.sum(rows(dy), [0]), b.type.shape)] : [dx, dw];
  },
  cost: (inputs, _attrs, type) => ({ macs: sizeOf(type.shape) * inputs[1].shape[1], flops: 0 }),
  factors: 2,
  sample: (random) => {
    const [k, n] = [random.int(1, 20), random.int(1, 30)];
    const shapes = [[...random.shape(0, 2), k], [n, k], [n]].slice(0, random.int(2, 3));
    return { inputs: shapes.map((shape) => ({ dtype: 'f32' as const, shape })), attrs: {} };
  },
  // One weight for all: rows of all values together.
  many: (_original, [x, ...weights], { apply }) =>
    weights.some(({ many }) => many) ? undefined : apply([x, ...weights].map(({ node }) => node)),
  // [k] rows need a row axis for matmul. Leading axes are merged: the product has one batch of rows.
  expand: (f, [x, w, b], _attrs, type) => {
    const rows = rowsOf(f, x, sizeOf(x.type.shape.slice(0, -1)));
    const columns = viewParts(f, w, 1, 0, (part) => f.transpose(part));
    const product = f.matmul(rows, columns, type.dtype);
    const flat = f.reshape(product, type.shape);
    return b ? f.add(flat, b) : flat;
  },
});

/** Names a value as kernels are to show it, unless the user has. */
function named(name: string, node: Node): Node {
  node.name ??= name;
  return node;
}

const rowSample = (random: Random) => ({
  inputs: [{ dtype: 'f32' as const, shape: [...random.shape(0, 3), random.int(1, 40)] }],
});

/** Calls `f` on each row (last axis) of x, writing its result to the same place of the output. */
function byRow(x: Float64Array, length: number, out: Float64Array, f: (row: Float64Array) => ArrayLike<number>): void {
  for (let at = 0; at < x.length; at += length) out.set(f(x.subarray(at, at + length)), at);
}

export const softmax = defineOp({
  name: 'softmax',
  doc: 'eˣ / Σeˣ over the last axis, with the row maximum subtracted first.',
  note: LOWEST_NOTE,
  kind: 'composite',
  reducesRows: true,
  many: (_original, [x], { apply }) => apply([x.node]),
  type: (inputs) => {
    expectArity('softmax', inputs, 1);
    expectFloat('softmax', ...inputs);
    if (!inputs[0].shape.length)
      throw shapeError('softmax', 'takes a tensor of at least one axis', undefined, 'unsqueeze it');
    return inputs[0];
  },
  reference: ([x], _attrs, type) => {
    const out = dense(type);
    byRow(x.data, x.shape[x.shape.length - 1], out.data, (given) => {
      const row = given.map((v) => Math.max(v, LOWEST));
      const max = row.reduce((a, b) => Math.max(a, b));
      const e = row.map((v) => Math.exp(v - max));
      const sum = e.reduce((a, b) => a + b, 0);
      return e.map((v) => v / sum);
    });
    return out;
  },
  gradient: ({ f, out, dy }) => {
    const weighted = f.mul(dy, out);
    const axis = out.type.shape.length - 1;
    return [f.sub(weighted, f.mul(out, f.sum(weighted, [axis])))];
  },
  cost: (_inputs, _attrs, type) => ({ macs: 0, flops: 12 * sizeOf(type.shape) }),
  sample: (random) => ({ ...rowSample(random), attrs: {} }),
  expand: (f, [x]) => {
    const axes = [x.type.shape.length - 1];
    const raised = f.max(x, LOWEST);
    const e = f.exp(f.sub(raised, f.reduceMax(raised, axes)));
    return f.div(e, f.sum(e, axes));
  },
});

export const layerNorm = defineOp({
  name: 'layer_norm',
  doc: '(x − mean) / √(variance + eps) over the last axis, biased variance, no affine part. Ba et al. 2016.',
  kind: 'composite',
  reducesRows: true,
  many: (_original, [x], { apply }) => apply([x.node]),
  type: (inputs, attrs) => {
    expectArity('layer_norm', inputs, 1);
    if (!(attrNumber(attrs, 'eps') >= 0)) throw shapeError('layer_norm', 'eps is a number of at least 0');
    expectFloat('layer_norm', ...inputs);
    if (!inputs[0].shape.length)
      throw shapeError('layer_norm', 'takes a tensor of at least one axis', undefined, 'unsqueeze it');
    return inputs[0];
  },
  reference: ([x], attrs, type) => {
    const out = dense(type);
    const n = x.shape[x.shape.length - 1];
    byRow(x.data, n, out.data, (row) => {
      const mean = row.reduce((a, b) => a + b, 0) / n;
      const variance = row.reduce((a, b) => a + (b - mean) ** 2, 0) / n;
      return row.map((v) => (v - mean) / Math.sqrt(variance + attrNumber(attrs, 'eps')));
    });
    return out;
  },
  // dx = (dy − mean(dy) − y·mean(dy·y)) / σ
  gradient: ({ f, inputs: [x], attrs, out, dy }) => {
    const axes = [x.type.shape.length - 1];
    const centred = f.sub(x, f.mean(x, axes));
    const scale = f.rsqrt(f.add(f.mean(f.square(centred), axes), attrNumber(attrs, 'eps')));
    const projected = f.mul(out, f.mean(f.mul(dy, out), axes));
    return [f.mul(f.sub(f.sub(dy, f.mean(dy, axes)), projected), scale)];
  },
  cost: (_inputs, _attrs, type) => ({ macs: 0, flops: 8 * sizeOf(type.shape) }),
  sample: (random) => ({ ...rowSample(random), attrs: { eps: 1e-3 } }),
  expand: (f, [x], attrs) => {
    const axes = [x.type.shape.length - 1];
    const centred = f.sub(x, named('mean', f.mean(x, axes)));
    const variance = f.mean(f.square(centred), axes);
    return f.mul(centred, named('inverse_deviation', f.rsqrt(f.add(variance, attrNumber(attrs, 'eps')))));
  },
});
