/** Elements and rows read and written at places: indices of several axes at once, or one for each element. */
import { constant, scatterAdd, where, type Tensor } from '../../../compiler/dsl/index.ts';
import type { Call, Ops } from '../call.ts';
import { fromFront } from './indexing.ts';

/** x as rows of what its first axes choose, and the row that each index [..., K] means. */
function rowsOf(call: Call, x: Tensor, indices: Tensor): { rows: Tensor; places: Tensor } {
  const count = indices.shape[indices.rank - 1] ?? 0;
  if (count < 1 || count > x.rank) throw call.damaged(`indices are of ${count} axes`, `the operand has ${x.rank}`);
  const sizes = x.shape.slice(0, count);
  const each = indices.unstack(-1).map((index, i) => fromFront(index, sizes[i]));
  const places = each.reduce((place, index, i) => place.mul(sizes[i]).add(index));
  const total = sizes.reduce((n, size) => n * size, 1);
  return { rows: x.reshape(total, -1), places };
}

function gatherND(call: Call): Tensor {
  const [x, indices] = [call.tensor(0), call.tensor(1)];
  if (call.int('batch_dims', 0)) throw call.fail('batch_dims are not read', undefined, 'write it by Gather');
  const { rows, places } = rowsOf(call, x, indices);
  const rest = x.shape.slice(indices.shape[indices.rank - 1]);
  return rows.gather(places).reshape(...places.shape, ...rest);
}

function scatterND(call: Call): Tensor {
  const [x, indices, updates] = [call.tensor(0), call.tensor(1), call.tensor(2)];
  const { rows, places } = rowsOf(call, x, indices);
  const count = places.shape.reduce((n, size) => n * size, 1);
  const index = places.reshape(count, 1);
  return written(call, rows, index, updates.reshape(count, rows.shape[1]), 0).reshape(...x.shape);
}

function scatterElements(call: Call): Tensor {
  const [x, index, updates] = [call.tensor(0), call.tensor(1), call.tensor(2)];
  const axis = call.axis(call.int('axis', 0), x.rank);
  const other = x.shape.some((n, i) => i !== axis && index.shape[i] !== n);
  if (other)
    throw call.fail(`indices [${index.shape}] are of a part of [${x.shape}]`, undefined, 'write it by ScatterND');
  return written(call, x, fromFront(index, x.shape[axis]), updates, axis);
}

/** Updates at places along an axis: in place of what was there, or added to it. Of several for one place ONNX says nothing. */
function written(call: Call, x: Tensor, index: Tensor, updates: Tensor, axis: number): Tensor {
  if (call.choice('reduction', ['none', 'add']) === 'add') return scatterAdd(x, index, updates, axis);
  const own = x.dtype === 'bool' ? 'i32' : x.dtype;
  const zeros = constant(0, [], own).broadcastTo(...x.shape);
  const given = scatterAdd(zeros, index, updates.cast(own), axis);
  const one = constant(1, [], 'i32').broadcastTo(...updates.shape);
  const times = scatterAdd(constant(0, [], 'i32').broadcastTo(...x.shape), index, one, axis);
  return where(times.gt(0), given.cast(x.dtype), x);
}

export const places: Ops = {
  GatherND: gatherND,
  ScatterND: scatterND,
  ScatterElements: scatterElements,
  Scatter: scatterElements,
};
