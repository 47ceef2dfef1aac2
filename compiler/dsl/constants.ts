/** Tensors that the model file writes out. */
import { formatShape, sizeOf, valueRule, type DType, type Shape } from '../ir/index.ts';
import { dtype, kindOf, optional, shape, takes, whole, type Argument } from './arguments.ts';
import { axisOf, misuse, Tensor } from './tensor.ts';
import { currentTrace } from './trace.ts';

const f = () => currentTrace().f;

const isData = (value: unknown): value is ArrayLike<number> =>
  Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView));

const numberOrData: Argument = {
  name: 'value',
  expects: (value) => (typeof value === 'number' || isData(value) ? undefined : 'a number, or a list of numbers'),
};

/** A constant tensor, f32 unless told: one number, or row-major data with its shape. */
export const constant = takes(
  'constant',
  [numberOrData, optional(shape('shape')), optional(dtype('dtype'))],
  (value: number | ArrayLike<number>, shape: Shape = [], dtype: DType = 'f32'): Tensor => {
    const values = typeof value === 'number' ? [value] : value;
    checkValues(values, dtype);
    if (typeof value === 'number') return new Tensor(f().constant(value, dtype, shape));
    if (value.length !== sizeOf(shape)) {
      const why = `${value.length} elements, and ${formatShape(shape)} has ${sizeOf(shape)}`;
      throw misuse('constant: data does not fill the shape', why, 'give the shape that the data has');
    }
    return new Tensor(f().op('constant', [], { dtype, shape: [...shape], data: Float64Array.from(value) }));
  },
);

/** Throws at the first element that is no number, or none of the dtype. */
function checkValues(values: ArrayLike<unknown>, dtype: DType): void {
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    if (typeof value !== 'number') {
      const fix = Array.isArray(value) ? 'write data flat, row by row: rows.flat()' : 'give numbers';
      throw misuse('constant: data must be a list of numbers', `element ${i} is ${kindOf(value)}`, fix);
    }
    const expected = valueRule(value, dtype);
    if (!expected) continue;
    const element = values.length > 1 ? `element ${i}` : 'it';
    throw misuse(
      `constant: a value must be ${expected}`,
      `${element} is ${value}`,
      "give another dtype, such as 'f32'",
    );
  }
}

const indexType: Argument = {
  name: 'dtype',
  expects: (value) => (value === 'bool' ? 'f32, f16, i32 or u32' : dtype('dtype').expects(value)),
};

/** Each element is its index along `axis`, as f32 unless told. */
export const iota = takes(
  'iota',
  [shape('shape'), optional(whole('axis')), optional(indexType)],
  (shape: Shape, axis = 0, dtype: DType = 'f32'): Tensor =>
    new Tensor(f().iota(dtype, [...shape], axisOf(axis, shape.length, formatShape(shape)))),
);
