/** Reductions. Reduced axes stay, with size 1. */
import { formatShape, formatType, sizeOf, stridesOf, type DType, type Node, type TensorType } from '../ir/index.ts';
import { attrList, defineOp, expectArity, isAxis, shapeError, type GradientContext, type OpDef } from './define.ts';
import { dense, dot, forEachIndex } from './dense.ts';
import { identityOf, type Combiner } from './kinds.ts';

interface Reduction extends Combiner {
  doc: string;
  f: (accumulated: number, x: number) => number;
  gradient: (context: GradientContext) => (Node | null)[];
}

function reduction(name: string, def: Reduction): OpDef {
  return defineOp({
    name,
    doc: def.doc,
    kind: 'reduce',
    type: (inputs, attrs): TensorType => {
      expectArity(name, inputs, 1);
      if (inputs[0].dtype === 'bool') {
        const fix = "cast it to 'u32' first; the largest of those says whether any holds";
        throw shapeError(name, 'does not take bool', `got ${formatType(inputs[0])}`, fix);
      }
      const axes = attrList(attrs, 'axes');
      const { dtype, shape } = inputs[0];
      if (!axes.length || !axes.every((axis) => isAxis(axis, shape))) {
        throw shapeError(name, `axes [${axes}] are not axes of ${formatShape(shape)}`);
      }
      // One spelling per reduction, so that hash-consing sees equal ones.
      if (axes.some((axis, i) => i > 0 && axis <= axes[i - 1])) throw shapeError(name, `axes [${axes}] do not ascend`);
      return { dtype, shape: shape.map((n, i) => (axes.includes(i) ? 1 : n)) };
    },
    reference: ([x], attrs, type) => {
      const axes = attrList(attrs, 'axes');
      const strides = stridesOf(type.shape).map((s, i) => (axes.includes(i) ? 0 : s));
      const out = dense(type);
      out.data.fill(identityOf(def, type.dtype));
      const f = wrapped(def.f, type.dtype);
      forEachIndex(x.shape, (index, flat) => {
        const at = dot(index, strides);
        out.data[at] = f(out.data[at], x.data[flat]);
      });
      return out;
    },
    reduction: { identity: def.identity, combine: def.combine, noun: def.noun, subgroup: def.subgroup },
    gradient: def.gradient,
    cost: (inputs) => ({ macs: 0, flops: sizeOf(inputs[0].shape) }),
    sample: (random) => {
      const shape = random.shape(1, 4, 9);
      const axes = shape.map((_, i) => i).filter(() => random.next() < 0.5);
      const dtype = random.pick(['f32', 'f32', 'i32', 'u32'] as const);
      return { inputs: [{ dtype, shape }], attrs: { axes: axes.length ? axes : [shape.length - 1] } };
    },
  });
}

/** Integers wrap around as on the device. */
function wrapped(f: Reduction['f'], dtype: DType): Reduction['f'] {
  if (dtype === 'u32') return (a, x) => f(a, x) >>> 0;
  return dtype === 'i32' ? (a, x) => f(a, x) | 0 : f;
}

/** Equal extremes share the gradient. */
const shared: Reduction['gradient'] = ({ f, inputs: [x], attrs, out, dy }) => {
  const hit = f.cast(f.compare('eq', x, out), x.type.dtype);
  const ties = f.sum(hit, attrList(attrs, 'axes'));
  return [f.mul(hit, f.div(dy, ties))];
};

export const reduceSum = reduction('reduce_sum', {
  doc: 'Sum over `axes`; integers wrap around.',
  identity: 0,
  combine: 'add',
  noun: 'sum',
  subgroup: { fn: 'subgroupAdd' },
  f: (sum, x) => sum + x,
  gradient: ({ f, inputs: [x], dy }) => [f.broadcast(dy, x.type.shape)],
});

export const reduceMax = reduction('reduce_max', {
  doc: 'Maximum over `axes`, NaN where an element is; equal maxima share the gradient.',
  identity: -Infinity,
  combine: 'max',
  noun: 'max',
  subgroup: { fn: 'subgroupMax', dropsNaN: true },
  f: Math.max,
  gradient: shared,
});

export const reduceMin = reduction('reduce_min', {
  doc: 'Minimum over `axes`, NaN where an element is; equal minima share the gradient.',
  identity: Infinity,
  combine: 'min',
  noun: 'min',
  subgroup: { fn: 'subgroupMin', dropsNaN: true },
  f: Math.min,
  gradient: shared,
});
