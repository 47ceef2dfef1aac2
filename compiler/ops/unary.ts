/** Pointwise ops of one operand, floating-point unless told. */
import type { Node } from '../ir/index.ts';
import { defineOp, elementwise, expectArity, expectFloat, perElement, type OpDef } from './define.ts';
import type { Functional } from './functional.ts';
import { ERF, EXP, GELU, LOG, RELU, SIGMOID, SILU, SIN_COS, SOFTPLUS, TANH } from './wgsl-helpers.ts';

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
  /** Of i32 besides, wrapping around. */
  integers?: true;
}

function unary(name: string, def: Unary): OpDef {
  const { slope } = def;
  return defineOp({
    name,
    doc: def.doc,
    kind: 'pointwise',
    type: (inputs) => {
      expectArity(name, inputs, 1);
      if (inputs[0].dtype !== 'i32' || !def.integers) expectFloat(name, ...inputs);
      return inputs[0];
    },
    reference: (inputs, attrs, type) =>
      elementwise(type.dtype === 'i32' ? (x) => def.f(x) | 0 : def.f)(inputs, attrs, type),
    gradient: slope === 'none' ? 'none' : ({ f, inputs: [x], out, dy }) => [f.mul(dy, slope(f, x, out))],
    cost: perElement(def.flops),
    sample: (random) => {
      const dtype = def.integers ? random.pick(['f32', 'f32', 'i32'] as const) : 'f32';
      return { inputs: [{ dtype, shape: random.shape(0, 4) }], attrs: {}, ranges: [def.range] };
    },
    wgsl: { expression: ([x]) => def.wgsl(x), helper: def.helper },
  });
}

const SQRT_2_OVER_PI = Math.sqrt(2 / Math.PI);

export const neg = unary('neg', {
  doc: '−x',
  f: (x) => -x,
  // A negative literal needs the parentheses: `--` is a token of its own.
  wgsl: (x) => (x.startsWith('-') ? `-(${x})` : `-${x}`),
  slope: (f, x) => f.constant(-1, x.type.dtype),
  flops: 1,
  integers: true,
});
export const detach = unary('detach', {
  doc: 'x, with no gradient (stop_gradient).',
  f: (x) => x,
  wgsl: (x) => x,
  slope: 'none',
  flops: 0,
});
export const abs = unary('abs', {
  doc: '|x|; at 0 the gradient is 0.',
  f: Math.abs,
  wgsl: (x) => `abs(${x})`,
  slope: (f, x) => {
    const [minus, none, plus] = [-1, 0, 1].map((value) => f.constant(value, x.type.dtype));
    return f.select(f.compare('lt', x, 0), minus, f.select(f.compare('gt', x, 0), plus, none));
  },
  flops: 1,
  integers: true,
});
export const relu = unary('relu', {
  doc: 'x where x > 0, else 0; NaN stays. At 0 the gradient is 0.',
  f: (x) => Math.max(x, 0),
  wgsl: (x) => `relu(${x})`,
  helper: RELU,
  slope: (f, x) => {
    const [none, plus] = [0, 1].map((value) => f.constant(value, x.type.dtype));
    return f.select(f.compare('le', x, 0), none, plus);
  },
  flops: 1,
});
export const floor = unary('floor', { doc: '⌊x⌋', f: Math.floor, wgsl: (x) => `floor(${x})`, slope: 'none', flops: 1 });
export const exp = unary('exp', {
  doc: 'eˣ',
  f: Math.exp,
  wgsl: (x) => `exp_(${x})`,
  helper: EXP,
  slope: (_f, _x, y) => y,
  flops: 8,
});
export const log = unary('log', {
  doc: 'Natural logarithm.',
  f: Math.log,
  wgsl: (x) => `log_(${x})`,
  helper: LOG,
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
  slope: (f, _x, y) => f.mul(f.mul(y, -0.5), f.square(y)),
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
export const softplus = unary('softplus', {
  doc: 'log(1 + eˣ), without overflow, and exact where that nears 0.',
  f: (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))),
  wgsl: (x) => `softplus(${x})`,
  helper: SOFTPLUS,
  slope: (f, x) => f.sigmoid(x),
  flops: 16,
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
  helper: GELU,
  // By s = ½(1 + tanh u), which loses nothing where tanh nears −1: (x·s)' = s + x·s·(1 − s)·2u'.
  slope: (f, x) => {
    const x2 = f.square(x);
    const s = f.sigmoid(f.mul(f.mul(x, f.add(1, f.mul(x2, 0.044715))), 2 * SQRT_2_OVER_PI));
    const inner = f.mul(f.add(1, f.mul(x2, 3 * 0.044715)), 2 * SQRT_2_OVER_PI);
    return f.mul(s, f.add(1, f.mul(f.mul(x, f.sub(1, s)), inner)));
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
