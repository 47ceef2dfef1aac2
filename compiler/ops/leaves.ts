/** Leaves: inputs, parameters, state, constants and index ramps. */
import { DitcError, DTYPES, sizeOf, valueRule, type Attrs, type DType, type TensorType } from '../ir/index.ts';
import { dense, fill } from './dense.ts';
import {
  attrList,
  attrNumber,
  attrString,
  defineOp,
  expectArity,
  free,
  isAxis,
  shapeError,
  type OpDef,
  type Sample,
} from './define.ts';

function declaredType(op: string, inputs: readonly TensorType[], attrs: Attrs): TensorType {
  expectArity(op, inputs, 0);
  const dtype = attrString(attrs, 'dtype') as DType;
  if (!DTYPES.includes(dtype)) throw shapeError(op, `unknown dtype ${dtype}`);
  const shape = attrList(attrs, 'shape');
  if (!shape.every((n) => Number.isSafeInteger(n) && n >= 1)) {
    throw shapeError(op, 'sizes are whole numbers of at least 1', `got [${shape}]`, 'check the model configuration');
  }
  return { dtype, shape };
}

const buffer = (name: string, doc: string): OpDef =>
  defineOp({
    name,
    doc,
    kind: 'leaf',
    leaf: { isGiven: true, isStored: () => true },
    type: (inputs, attrs) => declaredType(name, inputs, attrs),
    reference: (_inputs, attrs) => {
      throw new DitcError({ code: 'unbound', what: `${name} "${attrString(attrs, 'name')}" has no value` });
    },
    gradient: 'none',
    cost: free,
    sample: (random) => ({ inputs: [], attrs: { name: 'x', dtype: 'f32', shape: random.shape(0, 4) } }),
  });

export const input = buffer('input', 'An argument of the entry, given anew for each run.');
export const param = buffer('param', 'A named weight: a tensor of the checkpoint.');
export const state = buffer(
  'state',
  'Named state kept on the device between runs; an `update` gives it its next value.',
);

export const constant = defineOp({
  name: 'constant',
  doc: 'A constant: one `value` for every element, or dense row-major `data`.',
  kind: 'leaf',
  leaf: {
    isStored: ({ data }) => data instanceof Float64Array,
    element: (attrs) => attrNumber(attrs, 'value'),
  },
  type: (inputs, attrs) => {
    const type = declaredType('constant', inputs, attrs);
    const { data, value } = attrs;
    if (!(data instanceof Float64Array) && typeof value !== 'number') {
      throw shapeError('constant', 'has a value that is a number, or data', `got ${String(value)}`);
    }
    const values = data instanceof Float64Array ? data : [value as number];
    const wrong = Array.prototype.find.call(values, (x: number) => valueRule(x, type.dtype) !== undefined) as number;
    if (wrong !== undefined) {
      const fix = "give such a number, or cast to 'f32' first";
      throw shapeError('constant', `a value must be ${valueRule(wrong, type.dtype)}`, `got ${wrong}`, fix);
    }
    if (data instanceof Float64Array && data.length !== sizeOf(type.shape)) {
      throw shapeError('constant', 'data does not fill the shape', `${data.length} elements for [${type.shape}]`);
    }
    return type;
  },
  reference: (_inputs, attrs, type) =>
    attrs.data instanceof Float64Array ? dense(type, attrs.data) : fill(type, () => attrNumber(attrs, 'value')),
  gradient: 'none',
  cost: free,
  sample: (random): Sample => {
    const shape = random.shape(0, 3, 4);
    if (random.next() < 0.5) return { inputs: [], attrs: { dtype: 'f32', shape, value: random.uniform(-2, 2) } };
    const data = Float64Array.from({ length: sizeOf(shape) }, () => Math.fround(random.uniform(-2, 2)));
    return { inputs: [], attrs: { dtype: 'f32', shape, data } };
  },
});

export const iota = defineOp({
  name: 'iota',
  doc: 'Each element is its own index along `axis`.',
  kind: 'leaf',
  leaf: { isStored: () => false, element: (attrs, index) => index[attrNumber(attrs, 'axis')] },
  type: (inputs, attrs) => {
    const type = declaredType('iota', inputs, attrs);
    const axis = attrNumber(attrs, 'axis');
    if (!isAxis(axis, type.shape)) throw shapeError('iota', `no axis ${axis} in [${type.shape}]`);
    return type;
  },
  reference: (_inputs, attrs, type) => fill(type, (index) => index[attrNumber(attrs, 'axis')]),
  gradient: 'none',
  cost: free,
  sample: (random) => {
    const shape = random.shape(1, 4);
    const dtype = random.pick(['f32', 'i32', 'u32'] as const);
    return { inputs: [], attrs: { dtype, shape, axis: random.int(0, shape.length - 1) } };
  },
});
