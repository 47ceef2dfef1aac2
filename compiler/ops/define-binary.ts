/** How pointwise ops of two operands are defined. Operands broadcast as in NumPy and have one dtype. */
import { DTYPES, type DType, type Node } from '../ir/index.ts';
import {
  broadcastOrThrow,
  defineOp,
  elementwise,
  expectArity,
  expectSameDType,
  perElement,
  shapeError,
  type CodeContext,
  type GradientContext,
  type OpDef,
  type ScalarCode,
} from './define.ts';

export interface Binary {
  doc: string;
  f: (x: number, y: number) => number;
  /** The same on integers, where `f` would lose bits. */
  integer?: (x: number, y: number) => number;
  wgsl: (x: string, y: string, context: CodeContext) => string;
  helper?: string;
  preimage?: OpDef['preimage'];
  /** More that ScalarCode says. */
  code?: Pick<ScalarCode, 'operator' | 'hidesZeros'>;
  gradient: ((context: GradientContext) => (Node | null)[]) | 'none';
  flops?: number;
  accepts?: (dtype: DType) => boolean;
  result?: DType;
  ranges?: [[number, number], [number, number]];
  /** dtype the sampler draws, f32 unless told. */
  sampled?: DType;
}

export function binary(name: string, def: Binary): OpDef {
  const accepts = def.accepts ?? ((dtype: DType) => dtype !== 'bool');
  return defineOp({
    name,
    doc: def.doc,
    kind: 'pointwise',
    type: (inputs) => {
      expectArity(name, inputs, 2);
      expectSameDType(name, inputs);
      const { dtype } = inputs[0];
      if (!accepts(dtype)) {
        const taken = DTYPES.filter(accepts);
        const fix = taken.includes('bool') ? 'compare it with something' : `cast it to '${taken[0]}' first`;
        throw shapeError(name, `does not take ${dtype}`, `it takes ${taken.join(', ')}`, fix);
      }
      return { dtype: def.result ?? inputs[0].dtype, shape: broadcastOrThrow(name, inputs) };
    },
    reference: (inputs, attrs, type) => elementwise(wrap(def, type.dtype))(inputs, attrs, type),
    gradient: def.gradient,
    cost: perElement(def.flops ?? 1),
    preimage: def.preimage,
    sample: (random) => {
      const shape = random.shape(0, 4);
      const dtype = def.sampled ?? 'f32';
      const shapes = random.next() < 0.5 ? [shape, random.broadcastable(shape)] : [random.broadcastable(shape), shape];
      return { inputs: shapes.map((s) => ({ dtype, shape: s })), attrs: {}, ranges: def.ranges };
    },
    wgsl: { expression: ([x, y], context) => def.wgsl(x, y, context), helper: def.helper, ...def.code },
  });
}

/** Integer results wrap around as on the device. */
function wrap({ f: real, integer }: Binary, dtype: DType): (x: number, y: number) => number {
  const f = integer ?? real;
  if (dtype === 'u32') return (x, y) => f(x, y) >>> 0;
  if (dtype === 'i32') return (x, y) => f(x, y) | 0;
  return real;
}

export const infix = (op: string) => (x: string, y: string) => `(${x} ${op} ${y})`;
