/** Pointwise ops. Operands broadcast as in NumPy. */
import { isFloat, isInteger, type DType, type Node } from '../ir/index.ts';
import {
  attrString,
  broadcastOrThrow,
  defineOp,
  elementwise,
  expectArity,
  expectFloat,
  expectSameDType,
  perElement,
  shapeError,
  type GradientContext,
  type OpDef,
} from './define.ts';
import { dense, forEachIndex } from './dense.ts';
import type { Functional } from './functional.ts';
import { ERF, GELU, SIGMOID, SILU, SIN_COS, TANH } from './wgsl-helpers.ts';

interface Unary {
  doc: string;
  f: (x: number) => number;
  /** WGSL of the op on `x`. */
  wgsl: (x: string) => string;
  helper?: string;
  /** dy/dx from x and y. */
  slope: ((f: Functional, x: Node, y: Node) => Node) | 'none';
  flops: number;
  range?: [number, number];
}

function unary(name: string, def: Unary): OpDef {
  const { slope } = def;
  return defineOp({
    name,
    doc: def.doc,
    kind: 'pointwise',
    type: (inputs) => {
      expectArity(name, inputs, 1);
      expectFloat(name, ...inputs);
      return inputs[0];
    },
    reference: elementwise(def.f),
    gradient: slope === 'none' ? 'none' : ({ f, inputs: [x], out, dy }) => [f.mul(dy, slope(f, x, out))],
    cost: perElement(def.flops),
    sample: (random) => ({ inputs: [{ dtype: 'f32', shape: random.shape(0, 4) }], attrs: {}, ranges: [def.range] }),
    wgsl: { expression: ([x]) => def.wgsl(x), helper: def.helper },
  });
}

const SQRT_2_OVER_PI = Math.sqrt(2 / Math.PI);

export const neg = unary('neg', { doc: '−x', f: (x) => -x, wgsl: (x) => `-${x}`, slope: (f) => f.constant(-1), flops: 1 });
export const detach = unary('detach', {
  doc: 'x, with no gradient (stop_gradient).',
  f: (x) => x,
  wgsl: (x) => x,
  slope: 'none',
  flops: 0,
});
export const abs = unary('abs', {
  doc: '|x|',
  f: Math.abs,
  wgsl: (x) => `abs(${x})`,
  slope: (f, x) => f.select(f.compare('lt', x, 0), f.constant(-1, x.type.dtype), f.constant(1, x.type.dtype)),
  flops: 1,
});
export const floor = unary('floor', { doc: '⌊x⌋', f: Math.floor, wgsl: (x) => `floor(${x})`, slope: 'none', flops: 1 });
export const exp = unary('exp', { doc: 'eˣ', f: Math.exp, wgsl: (x) => `exp(${x})`, slope: (_f, _x, y) => y, flops: 8 });
export const log = unary('log', {
  doc: 'Natural logarithm.',
  f: Math.log,
  wgsl: (x) => `log(${x})`,
  slope: (f, x) => f.div(1, x),
  flops: 8,
  range: [0.1, 4],
});
export const sqrt = unary('sqrt', {
  doc: '√x',
  f: Math.sqrt,
  wgsl: (x) => `sqrt(${x})`,
  slope: (f, _x, y) => f.div(0.5, y),
  flops: 4,
  range: [0.1, 4],
});
export const rsqrt = unary('rsqrt', {
  doc: '1/√x',
  f: (x) => 1 / Math.sqrt(x),
  wgsl: (x) => `inverseSqrt(${x})`,
  slope: (f, x, y) => f.div(f.mul(y, -0.5), x),
  flops: 4,
  range: [0.1, 4],
});
export const sin = unary('sin', {
  doc: 'Sine, to float32 accuracy for |x| up to 10⁵ (WGSL promises none outside [−π, π]).',
  f: Math.sin,
  wgsl: (x) => `sine(${x})`,
  helper: SIN_COS,
  slope: (f, x) => f.unary('cos', x),
  flops: 20,
  range: [-50, 50],
});
export const cos = unary('cos', {
  doc: 'Cosine, to float32 accuracy for |x| up to 10⁵ (WGSL promises none outside [−π, π]).',
  f: Math.cos,
  wgsl: (x) => `cosine(${x})`,
  helper: SIN_COS,
  slope: (f, x) => f.neg(f.unary('sin', x)),
  flops: 20,
  range: [-50, 50],
});
export const tanh = unary('tanh', {
  doc: 'Hyperbolic tangent.',
  f: Math.tanh,
  wgsl: (x) => `tanh_(${x})`,
  helper: TANH,
  slope: (f, _x, y) => f.sub(1, f.square(y)),
  flops: 12,
});
export const erf = unary('erf', {
  doc: 'Error function (2/√π)∫₀ˣ e^(−u²) du.',
  f: erfReference,
  wgsl: (x) => `erf(${x})`,
  helper: ERF,
  slope: (f, x) => f.mul(f.exp(f.neg(f.square(x))), 2 / Math.sqrt(Math.PI)),
  flops: 20,
});
export const sigmoid = unary('sigmoid', {
  doc: '1/(1+e⁻ˣ)',
  f: (x) => 1 / (1 + Math.exp(-x)),
  wgsl: (x) => `sigmoid(${x})`,
  helper: SIGMOID,
  slope: (f, _x, y) => f.mul(y, f.sub(1, y)),
  flops: 10,
});
export const silu = unary('silu', {
  doc: 'x·sigmoid(x), also called swish.',
  f: (x) => x / (1 + Math.exp(-x)),
  wgsl: (x) => `silu(${x})`,
  helper: SILU,
  slope: (f, x) => {
    const s = f.sigmoid(x);
    return f.mul(s, f.add(1, f.mul(x, f.sub(1, s))));
  },
  flops: 10,
});
export const gelu = unary('gelu', {
  doc: 'Gaussian error linear unit, tanh form: ½x(1+tanh(√(2/π)(x+0.044715x³))). Hendrycks & Gimpel 2016.',
  f: (x) => 0.5 * x * (1 + Math.tanh(SQRT_2_OVER_PI * (x + 0.044715 * x ** 3))),
  wgsl: (x) => `gelu(${x})`,
  helper: TANH + GELU,
  slope: (f, x) => {
    const x2 = f.square(x);
    const t = f.tanh(f.mul(f.mul(x, f.add(1, f.mul(x2, 0.044715))), SQRT_2_OVER_PI));
    const inner = f.mul(f.add(1, f.mul(x2, 3 * 0.044715)), SQRT_2_OVER_PI);
    return f.mul(f.add(f.add(1, t), f.mul(f.mul(x, f.sub(1, f.square(t))), inner)), 0.5);
  },
  flops: 20,
});

/** erf by its Taylor series for small |x| and the continued fraction of erfc beyond: both to float64 accuracy. */
function erfReference(x: number): number {
  const a = Math.abs(x);
  if (a < 2.5) {
    let term = a;
    let sum = a;
    for (let n = 1; n < 80; n++) sum += (term *= (-a * a) / n) / (2 * n + 1);
    return Math.sign(x) * sum * (2 / Math.sqrt(Math.PI));
  }
  let tail = 0;
  for (let k = 60; k > 0; k--) tail = k / 2 / (a + tail);
  return Math.sign(x) * (1 - Math.exp(-a * a) / Math.sqrt(Math.PI) / (a + tail));
}

interface Binary {
  doc: string;
  f: (x: number, y: number) => number;
  /** The same on integers, where `f` would lose bits. */
  integer?: (x: number, y: number) => number;
  wgsl: (x: string, y: string) => string;
  gradient: ((context: GradientContext) => (Node | null)[]) | 'none';
  flops?: number;
  accepts?: (dtype: DType) => boolean;
  result?: DType;
  ranges?: [[number, number], [number, number]];
  /** dtype the sampler draws, f32 unless told. */
  sampled?: DType;
}

function binary(name: string, def: Binary): OpDef {
  const accepts = def.accepts ?? ((dtype: DType) => dtype !== 'bool');
  return defineOp({
    name,
    doc: def.doc,
    kind: 'pointwise',
    type: (inputs) => {
      expectArity(name, inputs, 2);
      expectSameDType(name, inputs);
      if (!accepts(inputs[0].dtype)) throw shapeError(name, `does not take ${inputs[0].dtype}`);
      return { dtype: def.result ?? inputs[0].dtype, shape: broadcastOrThrow(name, inputs) };
    },
    reference: (inputs, attrs, type) => elementwise(wrap(def, type.dtype))(inputs, attrs, type),
    gradient: def.gradient,
    cost: perElement(def.flops ?? 1),
    sample: (random) => {
      const shape = random.shape(0, 4);
      const dtype = def.sampled ?? 'f32';
      const shapes = random.next() < 0.5 ? [shape, random.broadcastable(shape)] : [random.broadcastable(shape), shape];
      return { inputs: shapes.map((s) => ({ dtype, shape: s })), attrs: {}, ranges: def.ranges };
    },
    wgsl: { expression: ([x, y]) => def.wgsl(x, y) },
  });
}

/** Integer results wrap around as on the device. */
function wrap({ f: real, integer }: Binary, dtype: DType): (x: number, y: number) => number {
  const f = integer ?? real;
  if (dtype === 'u32') return (x, y) => f(x, y) >>> 0;
  if (dtype === 'i32') return (x, y) => f(x, y) | 0;
  return real;
}

const infix = (op: string) => (x: string, y: string) => `(${x} ${op} ${y})`;
const notBool = (dtype: DType) => dtype !== 'bool';

export const add = binary('add', { doc: 'x + y', f: (x, y) => x + y, wgsl: infix('+'), gradient: ({ dy }) => [dy, dy] });
export const sub = binary('sub', {
  doc: 'x − y',
  f: (x, y) => x - y,
  wgsl: infix('-'),
  gradient: ({ f, dy }) => [dy, f.neg(dy)],
});
export const mul = binary('mul', {
  doc: 'x·y',
  f: (x, y) => x * y,
  // Products of 32-bit integers exceed float64's 53 bits.
  integer: Math.imul,
  wgsl: infix('*'),
  gradient: ({ f, inputs: [x, y], dy }) => [f.mul(dy, y), f.mul(dy, x)],
});
export const div = binary('div', {
  doc: 'x / y; integers truncate towards zero.',
  f: (x, y) => x / y,
  wgsl: infix('/'),
  gradient: ({ f, inputs: [, y], out, dy }) => [f.div(dy, y), f.neg(f.div(f.mul(dy, out), y))],
  flops: 4,
  ranges: [
    [-2, 2],
    [0.3, 3],
  ],
});
export const rem = binary('rem', {
  doc: 'Remainder of the truncated integer division.',
  f: (x, y) => x % y,
  wgsl: infix('%'),
  gradient: 'none',
  accepts: isInteger,
  sampled: 'u32',
  ranges: [
    [0, 1000],
    [1, 20],
  ],
});
export const pow = binary('pow', {
  doc: 'xʸ for x > 0.',
  f: Math.pow,
  wgsl: (x, y) => `pow(${x}, ${y})`,
  gradient: ({ f, inputs: [x, y], out, dy }) => [f.mul(dy, f.div(f.mul(out, y), x)), f.mul(dy, f.mul(out, f.log(x)))],
  accepts: isFloat,
  flops: 16,
  ranges: [
    [0.2, 3],
    [-2, 2],
  ],
});

const chosen = (keep: 'ge' | 'le') => ({ f, inputs: [x, y], dy }: GradientContext) => {
  const first = f.compare(keep, x, y);
  const zero = f.constant(0, dy.type.dtype);
  return [f.select(first, dy, zero), f.select(first, zero, dy)];
};
export const max = binary('max', {
  doc: 'The larger of x and y; at a tie the gradient goes to x.',
  f: Math.max,
  wgsl: (x, y) => `max(${x}, ${y})`,
  gradient: chosen('ge'),
});
export const min = binary('min', {
  doc: 'The smaller of x and y; at a tie the gradient goes to x.',
  f: Math.min,
  wgsl: (x, y) => `min(${x}, ${y})`,
  gradient: chosen('le'),
});

const comparison = (name: string, doc: string, symbol: string, f: (x: number, y: number) => boolean) =>
  binary(name, {
    doc,
    f: (x, y) => Number(f(x, y)),
    wgsl: infix(symbol),
    gradient: 'none',
    result: 'bool',
    accepts: notBool,
    sampled: 'i32',
    ranges: [
      [-3, 4],
      [-3, 4],
    ],
  });
export const eq = comparison('eq', 'x = y', '==', (x, y) => x === y);
export const ne = comparison('ne', 'x ≠ y', '!=', (x, y) => x !== y);
export const lt = comparison('lt', 'x < y', '<', (x, y) => x < y);
export const le = comparison('le', 'x ≤ y', '<=', (x, y) => x <= y);
export const gt = comparison('gt', 'x > y', '>', (x, y) => x > y);
export const ge = comparison('ge', 'x ≥ y', '>=', (x, y) => x >= y);

const logical = (name: string, doc: string, symbol: string, f: (x: boolean, y: boolean) => boolean) =>
  binary(name, {
    doc,
    f: (x, y) => Number(f(x !== 0, y !== 0)),
    wgsl: infix(symbol),
    gradient: 'none',
    accepts: (dtype) => dtype === 'bool',
    sampled: 'bool',
  });
export const and = logical('and', 'Both.', '&&', (x, y) => x && y);
export const or = logical('or', 'Either.', '||', (x, y) => x || y);

const bitwise = (name: string, doc: string, symbol: string, f: (x: number, y: number) => number) =>
  binary(name, {
    doc,
    f,
    wgsl: infix(symbol),
    gradient: 'none',
    accepts: (dtype) => dtype === 'u32',
    sampled: 'u32',
    ranges: [
      [0, 2 ** 32],
      [0, symbol === '<<' || symbol === '>>' ? 32 : 2 ** 32],
    ],
  });
export const bitXor = bitwise('bit_xor', 'Bitwise exclusive or of u32.', '^', (x, y) => x ^ y);
export const bitAnd = bitwise('bit_and', 'Bitwise and of u32.', '&', (x, y) => x & y);
export const shiftLeft = bitwise('shift_left', 'x·2ʸ modulo 2³², y < 32.', '<<', (x, y) => x << y);
export const shiftRight = bitwise('shift_right', '⌊x/2ʸ⌋ of u32, y < 32.', '>>', (x, y) => x >>> y);

export const select = defineOp({
  name: 'select',
  doc: 'select(c, x, y): x where c holds, y elsewhere.',
  kind: 'pointwise',
  type: (inputs) => {
    expectArity('select', inputs, 3);
    if (inputs[0].dtype !== 'bool') throw shapeError('select', 'the condition is a bool tensor', `got ${inputs[0].dtype}`);
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
  doc: 'Converts to `dtype`: floats truncate towards zero to integers; bool is 0 or 1.',
  kind: 'pointwise',
  type: (inputs, attrs) => {
    expectArity('cast', inputs, 1);
    return { dtype: attrString(attrs, 'dtype') as DType, shape: inputs[0].shape };
  },
  reference: ([x], _attrs, type) => {
    const out = dense(type);
    const to = castTo(type.dtype);
    forEachIndex(type.shape, (_index, flat) => (out.data[flat] = to(x.data[flat])));
    return out;
  },
  gradient: ({ f, inputs: [x], dy }) => [isFloat(x.type.dtype) && isFloat(dy.type.dtype) ? f.cast(dy, x.type.dtype) : null],
  cost: perElement(1),
  sample: (random) => {
    const from = random.pick(['f32', 'i32', 'u32', 'bool'] as const);
    const dtype = random.pick(['f32', 'i32', 'u32', 'bool'] as const);
    const range: [number, number] = from === 'u32' || dtype === 'u32' ? [0, 100] : [-100, 100];
    return { inputs: [{ dtype: from, shape: random.shape(0, 3) }], attrs: { dtype }, ranges: [range] };
  },
  wgsl: { expression: ([x], { output }) => `${output === 'f16' ? 'f32' : output}(${x})` },
});

function castTo(dtype: DType): (x: number) => number {
  if (dtype === 'bool') return (x) => Number(x !== 0);
  if (dtype === 'u32') return (x) => Math.trunc(x) >>> 0;
  if (dtype === 'i32') return (x) => Math.trunc(x) | 0;
  return (x) => x;
}
