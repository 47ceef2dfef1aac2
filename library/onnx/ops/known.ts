/** What is known when the network is read: constants, shapes, and what only names a value anew. */
import { constant, type DType, type Tensor } from '../../../compiler/dsl/index.ts';
import { dtypeName, dtypeOf } from '../../../runtime/onnx/tensor.ts';
import { computedAs, type Known } from '../value.ts';
import type { Call, Made, Ops } from '../call.ts';

const whole = (data: readonly number[]): Known => ({ dtype: 'i32', shape: [data.length], data });
const one = (dtype: DType, value: number): Known => ({ dtype, shape: [], data: [value] });

function constantOf(call: Call): Known {
  const [ints, floats] = [call.ints('value_ints'), call.floats('value_floats')];
  const found =
    call.constant('value') ??
    (ints && whole(ints)) ??
    (floats && { dtype: 'f32' as const, shape: [floats.length], data: floats });
  if (found) return found;
  const [int, float] = [call.int('value_int'), call.float('value_float')];
  if (int !== undefined) return one('i32', int);
  if (float !== undefined) return one('f32', float);
  throw call.fail('it holds no numbers', 'text and sparse tensors are not read', 'write it as a dense tensor');
}

function constantOfShape(call: Call): Made {
  const shape = call.numbers(0, 'shape') ?? [];
  const { dtype, data } = call.constant('value') ?? one('f32', 0);
  if (!shape.length) return one(dtype, data[0]);
  if (shape.some((n) => n === 0)) return { dtype, shape, data: [] };
  return constant(data[0], shape, dtype);
}

function shapeOf(call: Call): Known {
  const { shape } = call.value(0);
  const place = (at: number) => Math.min(Math.max(at < 0 ? at + shape.length : at, 0), shape.length);
  return whole(shape.slice(place(call.int('start', 0)), place(call.int('end', shape.length))));
}

function cast(call: Call): Made {
  const to = call.int('to', 0);
  const dtype = dtypeOf(to);
  if (!dtype) throw call.fail(`there are no ${dtypeName(to)}`, undefined, 'export the network in float32');
  return converted(call, computedAs(dtype));
}

/** Known numbers as they are: whole ones may be beyond i32. */
function converted(call: Call, dtype: DType): Made {
  const value = call.value(0);
  if (!value.folds) return value.tensor().cast(dtype);
  const to = { bool: (x: number) => Number(x !== 0), i32: Math.trunc, u32: Math.trunc, f32: Number, f16: Number }[
    dtype
  ];
  const { shape, data } = call.known(0, 'operand');
  return { dtype, shape, data: Array.from(data, to) };
}

function range(call: Call): Known {
  const [start = 0, limit = 0, delta = 1] = [0, 1, 2].map((i) => call.number(i, 'bounds'));
  const length = call.table(Math.ceil((limit - start) / delta));
  const { dtype } = call.value(0);
  return { dtype, shape: [length], data: Array.from({ length }, (_, i) => start + i * delta) };
}

function eyeLike(call: Call): Tensor {
  const { shape, dtype } = call.value(0);
  const k = call.int('k', 0);
  const [rows, columns] = shape;
  const named = call.int('dtype');
  const own = named === undefined ? dtype : computedAs(dtypeOf(named) ?? 'f32');
  const data = Array.from({ length: call.table(rows * columns) }, (_, i) =>
    Number((i % columns) - Math.floor(i / columns) === k),
  );
  return constant(data, [rows, columns], own);
}

const same = (call: Call): Made => (call.value(0).folds ? call.known(0, 'operand') : call.tensor());

function dropout(call: Call): Made[] {
  if (!call.number(2, 'mode'))
    return [same(call), ...(call.outputs[1] ? [constant(1, [...call.value(0).shape], 'bool')] : [])];
  throw call.fail('it is in training mode', undefined, 'export the network after net.eval()');
}

export const known: Ops = {
  Constant: constantOf,
  ConstantOfShape: constantOfShape,
  Shape: shapeOf,
  Size: (call) =>
    one(
      'i32',
      call.value(0).shape.reduce((n, size) => n * size, 1),
    ),
  Cast: cast,
  CastLike: (call) => converted(call, call.value(1).dtype),
  Range: range,
  EyeLike: eyeLike,
  Identity: same,
  Dropout: dropout,
};
