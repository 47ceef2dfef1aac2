/**
 * A strided view of flat storage, walked row by row. PyTorch saves a transposed or sliced tensor as its storage plus
 * offset and strides; this file is the index arithmetic, with no I/O in it. Strides and offsets count elements.
 */

/** Dimensions of a view after {@link collapse}, outermost first. */
export interface Dims {
  counts: number[];
  strides: number[];
}

/** The row-major strides of `shape`. */
export function rowMajorStrides(shape: readonly number[]): number[] {
  const strides = new Array<number>(shape.length);
  let step = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    strides[i] = step;
    step *= Math.max(shape[i], 1);
  }
  return strides;
}

/** Drops sizes of 1 and merges dimensions that continue one another, so a contiguous tensor becomes one run. */
export function collapse(shape: readonly number[], strides: readonly number[]): Dims {
  const dims: Dims = { counts: [], strides: [] };
  for (let i = 0; i < shape.length; i++) {
    if (shape[i] === 1) continue;
    const last = dims.counts.length - 1;
    if (last >= 0 && dims.strides[last] === strides[i] * shape[i]) {
      dims.counts[last] *= shape[i];
      dims.strides[last] = strides[i];
    } else {
      dims.counts.push(shape[i]);
      dims.strides.push(strides[i]);
    }
  }
  return dims;
}

/** True when the elements lie one after another in storage, in row-major order. */
export function isContiguous(dims: Dims): boolean {
  return dims.counts.length === 0 || (dims.counts.length === 1 && dims.strides[0] === 1);
}

/** Offset of the last element in storage order, relative to the first. Strides must not be negative. */
export function lastOffset(shape: readonly number[], strides: readonly number[]): number {
  let last = 0;
  for (let i = 0; i < shape.length; i++) last += (shape[i] - 1) * strides[i];
  return last;
}

/**
 * Calls `visit(offset, count, position)` for each run of the innermost dimension among the `count` row-major elements
 * that start at `first`: `offset` is the storage offset of the run's first element, `position` its index in the block.
 */
export function forEachRow(
  dims: Dims,
  first: number,
  count: number,
  visit: (offset: number, count: number, position: number) => void,
): void {
  const rank = dims.counts.length;
  const rowLength = dims.counts[rank - 1];
  const rowStride = dims.strides[rank - 1];
  // The odometer over the outer dimensions, set to the row that holds `first`.
  const index = new Array<number>(rank - 1);
  let rest = Math.floor(first / rowLength);
  let base = 0;
  for (let i = rank - 2; i >= 0; i--) {
    index[i] = rest % dims.counts[i];
    rest = Math.floor(rest / dims.counts[i]);
    base += index[i] * dims.strides[i];
  }
  let column = first % rowLength;
  for (let position = 0; position < count;) {
    const run = Math.min(rowLength - column, count - position);
    visit(base + column * rowStride, run, position);
    position += run;
    column = 0;
    for (let i = rank - 2; i >= 0; i--) {
      base += dims.strides[i];
      if (++index[i] < dims.counts[i]) break;
      base -= dims.counts[i] * dims.strides[i];
      index[i] = 0;
    }
  }
}
