/** Pointwise choice between values, and conversion between dtypes. */
import { DTYPES, isFloat, isInteger, type DType } from '../ir/index.ts';
import {
  attrString,
  broadcastOrThrow,
  defineOp,
  elementwise,
  expectArity,
  expectSameDType,
  perElement,
  shapeError,
} from './define.ts';
import { dense, forEachIndex } from './dense.ts';
import { CLAMPED, TO_INTEGER } from './wgsl-helpers.ts';
import { literal } from './wgsl-literal.ts';

export const select = defineOp({
  name: 'select',
  doc: 'select(c, x, y): x where c holds, y elsewhere.',
  kind: 'pointwise',
  type: (inputs) => {
    expectArity('select', inputs, 3);
    if (inputs[0].dtype !== 'bool')
      throw shapeError(
        'select',
        'the condition is a bool tensor',
        `got ${inputs[0].dtype}`,
        'compare it with something',
      );
    expectSameDType('select', inputs.slice(1));
    return { dtype: inputs[1].dtype, shape: broadcastOrThrow('select', inputs) };
  },
  reference: elementwise((c, x, y) => (c ? x : y)),
  gradient: ({ f, inputs: [c], dy }) => {
    const zero = f.constant(0, dy.type.dtype);
    return [null, f.select(c, dy, zero), f.select(c, zero, dy)];
  },
  cost: perElement(1),
  sample: (random) => {
    const shape = random.shape(0, 3);
    return {
      inputs: [
        { dtype: 'bool', shape: random.broadcastable(shape) },
        { dtype: 'f32', shape },
        { dtype: 'f32', shape: random.broadcastable(shape) },
      ],
      attrs: {},
    };
  },
  wgsl: { expression: ([c, x, y]) => `select(${y}, ${x}, ${c})` },
});

export const cast = defineOp({
  name: 'cast',
  doc: 'Converts to `dtype`: floats truncate towards zero to integers and saturate, NaN becomes 0; integers keep their bits; bool is 0 or 1, and NaN holds.',
  kind: 'pointwise',
  type: (inputs, attrs) => {
    expectArity('cast', inputs, 1);
    const dtype = attrString(attrs, 'dtype') as DType;
    if (!DTYPES.includes(dtype)) throw shapeError('cast', `unknown dtype ${dtype}`, `use one of ${DTYPES.join(', ')}`);
    return { dtype, shape: inputs[0].shape };
  },
  reference: ([x], _attrs, type) => {
    const out = dense(type);
    const to = castTo(type.dtype, isFloat(x.dtype));
    forEachIndex(type.shape, (_index, flat) => (out.data[flat] = to(x.data[flat])));
    return out;
  },
  gradient: ({ f, inputs: [x], dy }) => [
    isFloat(x.type.dtype) && isFloat(dy.type.dtype) ? f.cast(dy, x.type.dtype) : null,
  ],
  cost: perElement(1),
  sample: (random) => {
    const from = random.pick(['f32', 'i32', 'u32', 'bool'] as const);
    const dtype = random.pick(['f32', 'i32', 'u32', 'bool'] as const);
    const range: [number, number] = from === 'u32' || dtype === 'u32' ? [0, 100] : [-100, 100];
    return { inputs: [{ dtype: from, shape: random.shape(0, 3) }], attrs: { dtype }, ranges: [range] };
  },
  wgsl: {
    isConversion: true,
    expression: ([x], { output, inputs: [from] }) => {
      const whole = from === 'f32' && (output === 'i32' || output === 'u32');
      return whole ? `to_${output}(${x})` : `${output}(${x})`;
    },
    helper: TO_INTEGER,
  },
});

/** As WGSL converts: an integer becomes another by its bits, a float by the nearest value of the range. */
function castTo(dtype: DType, saturate: boolean): (x: number) => number {
  const within = (lo: number, hi: number) => (x: number) => Math.min(Math.max(Math.trunc(x) || 0, lo), hi);
  if (dtype === 'bool') return (x) => Number(x !== 0);
  if (dtype === 'u32') return saturate ? within(0, 2 ** 32 - 1) : (x) => x >>> 0;
  if (dtype === 'i32') return saturate ? within(-(2 ** 31), 2 ** 31 - 1) : (x) => x | 0;
  return (x) => x;
}

export const clamp = defineOp({
  name: 'clamp',
  doc: 'min(max(x, lo), hi), NaN where x is. The gradient is that of x from lo to hi, both included, and 0 elsewhere.',
  kind: 'pointwise',
  type: (inputs, { lo, hi }) => {
    expectArity('clamp', inputs, 1);
    if (inputs[0].dtype === 'bool')
      throw shapeError('clamp', 'does not take bool', undefined, "cast it to 'f32' first");
    const bad = [lo, hi].find((bound) => typeof bound !== 'number' || Number.isNaN(bound));
    if (bad !== undefined) throw shapeError('clamp', 'lo and hi are numbers', `got ${String(bad)}`);
    if (isInteger(inputs[0].dtype) && ![lo, hi].every((bound) => withinType(inputs[0].dtype, bound as number)))
      throw shapeError('clamp', `lo and hi are values of ${inputs[0].dtype}`, `got ${String(lo)} and ${String(hi)}`);
    return inputs[0];
  },
  reference: (inputs, { lo, hi }, type) =>
    elementwise((x) => Math.min(Math.max(x, lo as number), hi as number))(inputs, {}, type),
  gradient: ({ f, inputs: [x], attrs, dy }) => {
    const [above, below] = [f.compare('ge', x, attrs.lo as number), f.compare('le', x, attrs.hi as number)];
    return [f.select(f.op('and', [above, below]), dy, f.constant(0, dy.type.dtype))];
  },
  cost: perElement(2),
  sample: (random) => {
    const lo = random.uniform(-1.5, 0.5);
    return { inputs: [{ dtype: 'f32', shape: random.shape(0, 4) }], attrs: { lo, hi: lo + random.uniform(0, 1.5) } };
  },
  wgsl: {
    expression: ([x], { output, attrs }) => {
      const [lo, hi] = [attrs.lo, attrs.hi].map((bound) => literal(bound as number, output));
      return output === 'f32' ? `clamped(${x}, ${lo}, ${hi})` : `min(max(${x}, ${lo}), ${hi})`;
    },
    helper: CLAMPED,
  },
});

const withinType = (dtype: DType, x: number): boolean =>
  Number.isInteger(x) && (dtype === 'u32' ? x >>> 0 : x | 0) === x;

/** The same values, for the sake of where they lie. */
const placed = (name: string, doc: string, more: { readonly inMemory?: true } = {}) =>
  defineOp({
    name,
    doc,
    kind: 'pointwise',
    ...more,
    type: (inputs) => {
      expectArity(name, inputs, 1);
      return inputs[0];
    },
    reference: elementwise((x) => x),
    gradient: ({ dy }) => [dy],
    cost: perElement(0),
    sample: (random) => ({ inputs: [{ dtype: 'f32', shape: random.shape(0, 3) }], attrs: {} }),
    wgsl: { expression: ([x]) => x, keepsValues: true },
  });

export const copy = placed('copy', 'The same values in a buffer of their own.');

export const layOut = placed(
  'lay_out',
  'The same values, in memory in just this order: neighbours along the last axis lie side by side.',
  { inMemory: true },
);
