/** The contraction: batched matrix product. */
import { broadcastShapes, formatShape, sizeOf, stridesOf, type Shape, type TensorType } from '../ir/index.ts';
import { contractedDType, defineOp, expectArity, expectFloat, expectSameDType, shapeError } from './define.ts';
import { broadcastStrides, dense, dot, forEachIndex } from './dense.ts';

/** Batch axes, rows, columns and inner size of a product of two shapes. */
export function matmulDims(x: Shape, y: Shape): { batch: Shape; m: number; n: number; k: number } {
  const batch = broadcastShapes(x.slice(0, -2), y.slice(0, -2))!;
  return { batch, m: x[x.length - 2], n: y[y.length - 1], k: x[x.length - 1] };
}

/** A matrix: numbers, and where among them it starts. */
type Matrix = readonly [data: Float64Array, start: number];

/**
 * Adds to each row the rows of y, first to last, times their factors in x. Four of them at a time: sums are added up in the same order,
 * and loaded and stored a quarter as often.
 */
function addRows(
  out: Float64Array,
  start: number,
  [x, x0]: Matrix,
  [y, y0]: Matrix,
  { m, n, k }: { m: number; n: number; k: number },
): void {
  for (let i = 0; i < m; i++) {
    const [first, factors] = [start + i * n, x0 + i * k];
    let l = 0;
    for (; l + 4 <= k; l += 4) {
      const [a, b, c, d] = [x[factors + l], x[factors + l + 1], x[factors + l + 2], x[factors + l + 3]];
      for (let j = 0, at = y0 + l * n; j < n; j++, at++)
        out[first + j] = out[first + j] + a * y[at] + b * y[at + n] + c * y[at + 2 * n] + d * y[at + 3 * n];
    }
    for (; l < k; l++) {
      const factor = x[factors + l];
      for (let j = 0, at = y0 + l * n; j < n; j++, at++) out[first + j] += factor * y[at];
    }
  }
}

export const matmul = defineOp({
  name: 'matmul',
  doc: 'Matrix product of the last two axes, […, m, k] × […, k, n]; leading axes broadcast. f16 operands give f32 with `dtype`.',
  kind: 'contract',
  contraction: 'product',
  type: (inputs, attrs): TensorType => {
    expectArity('matmul', inputs, 2);
    expectFloat('matmul', ...inputs);
    expectSameDType('matmul', inputs);
    const [x, y] = inputs.map((t) => t.shape);
    const shapes = `x is ${formatShape(x)}, y is ${formatShape(y)}`;
    if (x.length < 2 || y.length < 2) throw shapeError('matmul', 'takes matrices', shapes, 'unsqueeze vectors');
    const [inner, rows] = [x[x.length - 1], y[y.length - 2]];
    if (inner !== rows) {
      throw shapeError(
        'matmul',
        'inner sizes differ',
        `${shapes}: ${inner} ≠ ${rows}`,
        'transpose one, or check the sizes',
      );
    }
    if (!broadcastShapes(x.slice(0, -2), y.slice(0, -2)))
      throw shapeError('matmul', 'batch axes do not broadcast', shapes, 'unsqueeze or reshape one of them');
    const { batch, m, n } = matmulDims(x, y);
    return { dtype: contractedDType('matmul', inputs, attrs), shape: [...batch, m, n] };
  },
  reference: ([x, y], _attrs, type) => {
    const { batch, m, n, k } = matmulDims(x.shape, y.shape);
    const out = dense(type);
    const [xs, ys] = [x, y].map((t) => {
      const inner = stridesOf(t.shape).slice(-2)[0] * t.shape[t.shape.length - 2];
      return broadcastStrides(t.shape.slice(0, -2), batch.length).map((s) => s * inner);
    });
    forEachIndex(batch, (index, b) => {
      addRows(out.data, b * m * n, [x.data, dot(index, xs)], [y.data, dot(index, ys)], { m, n, k });
    });
    return out;
  },
  gradient: ({ f, inputs: [x, y], dy }) => {
    const d = f.cast(dy, x.type.dtype);
    return [f.matmul(d, f.transpose(y)), f.matmul(f.transpose(x), d)];
  },
  factors: 2,
  many: (_original, operands, { apply, aligned }) => apply(operands.map(aligned)),
  cost: (inputs, _attrs, type) => ({ macs: sizeOf(type.shape) * inputs[0].shape.slice(-1)[0], flops: 0 }),
  sample: (random) => {
    const [m, n, k] = [random.int(1, 20), random.int(1, 30), random.int(1, 20)];
    const batch = random.shape(0, 2, 3);
    const x = [...random.broadcastable(batch), m, k];
    const y = [...random.broadcastable(batch), k, n];
    return {
      inputs: [
        { dtype: 'f32', shape: x },
        { dtype: 'f32', shape: y },
      ],
      attrs: {},
    };
  },
});
