/** Dense float64 tensors: what the interpreter computes on. Integers and booleans are exact in float64. */
import { sizeOf, stridesOf, type DType, type Shape, type TensorType } from '../ir/index.ts';

export interface Dense {
  readonly dtype: DType;
  readonly shape: Shape;
  readonly data: Float64Array;
}

export const dense = (type: TensorType, data?: Float64Array): Dense => ({
  dtype: type.dtype,
  shape: type.shape,
  data: data ?? new Float64Array(sizeOf(type.shape)),
});

/** Calls `visit` with every multi-index of a shape in row-major order. The array is reused between calls. */
export function forEachIndex(shape: Shape, visit: (index: readonly number[], flat: number) => void): void {
  const index = new Array<number>(shape.length).fill(0);
  const total = sizeOf(shape);
  for (let flat = 0; flat < total; flat++) {
    visit(index, flat);
    for (let axis = shape.length - 1; axis >= 0 && ++index[axis] === shape[axis]; axis--) index[axis] = 0;
  }
}

/** Strides of `shape` read through the indices of a broadcast shape: 0 along broadcast axes. */
export function broadcastStrides(shape: Shape, rank: number): number[] {
  const strides = stridesOf(shape);
  const lead = rank - shape.length;
  return Array.from({ length: rank }, (_, i) => (i < lead || shape[i - lead] === 1 ? 0 : strides[i - lead]));
}

export const dot = (index: readonly number[], strides: readonly number[]): number => {
  let sum = 0;
  for (let i = 0; i < index.length; i++) sum += index[i] * strides[i];
  return sum;
};

/** A tensor whose element at each index is computed from the index. */
export function fill(type: TensorType, f: (index: readonly number[]) => number): Dense {
  const out = dense(type);
  forEachIndex(type.shape, (index, flat) => (out.data[flat] = f(index)));
  return out;
}
