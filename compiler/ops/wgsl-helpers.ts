/** WGSL helper functions of pointwise ops whose built-in is missing, overflows, drops a NaN or promises too little accuracy. */
import { SPECIAL_NUMBERS } from './wgsl-literal.ts';

/** By its bits: WGSL lets compilers assume that no float is NaN, and drop comparisons that tell. */
export const IS_NAN = /* wgsl */ `
fn is_nan(x: f32) -> bool {
  return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}
`;

/** WGSL's max, min and clamp may drop a NaN, and do. */
export const MAXIMUM = /* wgsl */ `
${IS_NAN}
fn maximum(x: f32, y: f32) -> f32 {
  return select(max(x, y), x + y, is_nan(x) || is_nan(y));
}
`;

export const MINIMUM = /* wgsl */ `
${IS_NAN}
fn minimum(x: f32, y: f32) -> f32 {
  return select(min(x, y), x + y, is_nan(x) || is_nan(y));
}
`;

export const RELU = /* wgsl */ `
${IS_NAN}
fn relu(x: f32) -> f32 {
  return select(max(x, 0.0), x, is_nan(x));
}
`;

export const CLAMPED = /* wgsl */ `
${IS_NAN}
fn clamped(x: f32, lo: f32, hi: f32) -> f32 {
  return select(min(max(x, lo), hi), x, is_nan(x));
}
`;

/** What WGSL makes of a NaN is open. */
export const TO_INTEGER = /* wgsl */ `
${IS_NAN}
fn to_i32(x: f32) -> i32 {
  return select(i32(x), 0, is_nan(x));
}
fn to_u32(x: f32) -> u32 {
  return select(u32(x), 0u, is_nan(x));
}
`;

/** SwiftShader's exp(NaN) is ∞. */
export const EXP = /* wgsl */ `
${IS_NAN}
fn exp_(x: f32) -> f32 {
  return select(exp(x), x, is_nan(x));
}
`;

/** SwiftShader's log of 0, of a negative number and of NaN is a number, and no driver's log knows subnormal ones. */
export const LOG = /* wgsl */ `
${SPECIAL_NUMBERS}
fn log_(x: f32) -> f32 {
  let bits = bitcast<u32>(x);
  let is_tiny = bits < 0x00800000u;  // bits·2⁻¹⁴⁹
  let y = log(select(x, f32(bits), is_tiny)) - select(0.0, 103.278929, is_tiny);
  let of_zero = select(y, -infinity(), (bits & 0x7fffffffu) == 0u);
  return select(of_zero, not_a_number(), bits > 0x7f800000u && bits != 0x80000000u);
}
`;

/**
 * WGSL's pow knows positive numbers, and of those drivers forget 0 and ∞. Whole powers beyond 2²⁴ are even. By branches: SwiftShader
 * runs out of memory on four of these made of nothing but `select`.
 */
export const POWER = /* wgsl */ `
${SPECIAL_NUMBERS}
${IS_NAN}
fn power(x: f32, y: f32) -> f32 {
  if (y == 0.0 || x == 1.0) { return 1.0; }
  let size = abs(x);
  let is_whole = floor(y) == y;
  if (is_nan(x) || is_nan(y) || (x < 0.0 && size <= 3.4028234e38 && !is_whole)) { return not_a_number(); }
  var known = size;
  if (y != 1.0 && size != 1.0) {
    let is_end = size == 0.0 || size > 3.4028234e38 || abs(y) > 3.4028234e38;
    if (is_end) { known = select(0.0, infinity(), (size > 1.0) == (y > 0.0)); } else { known = pow(size, y); }
  }
  let is_odd = is_whole && abs(y) < 16777216.0 && floor(0.5 * y) != 0.5 * y;
  if (is_odd && (bitcast<u32>(x) >> 31u) == 1u) { return -known; }
  return known;
}
`;

/** tanh by expm1-like rational form near 0 and by exp beyond; WGSL's own may overflow for large |x| on some drivers. */
export const TANH = /* wgsl */ `
fn tanh_(x: f32) -> f32 {
  let e = exp(-2.0 * abs(x));
  let x2 = x * x;
  let series = x * (1.0 + x2 * (-0.333333333 + x2 * (0.133333333 + x2 * (-0.0539682540 + x2 * 0.0218694885))));
  return select(sign(x) * (1.0 - e) / (1.0 + e), series, abs(x) < 0.2);
}
`;

/** Where the exponential is infinite the quotients of these three are 0, as they should be. */
export const SIGMOID = /* wgsl */ `
${EXP}
fn sigmoid(x: f32) -> f32 {
  return 1.0 / (1.0 + exp_(-x));
}
`;

export const SILU = /* wgsl */ `
fn silu(x: f32) -> f32 {
  return x / (1.0 + exp(-x));
}
`;

/** By log(1 + e⁻|x|), which has a series where e⁻|x| is small: 1 + e⁻|x| would lose it. NaN and +∞ stay. */
export const SOFTPLUS = /* wgsl */ `
${EXP}
fn softplus(x: f32) -> f32 {
  let e = exp_(-abs(x));
  let series = e * (1.0 + e * (-0.5 + e * (0.333333333 + e * (-0.25 + e * 0.2))));
  let above = select(x, 0.0, x < 0.0);
  return above + select(log(1.0 + e), series, e < 0.05);
}
`;

export const GELU = /* wgsl */ `
fn gelu(x: f32) -> f32 {
  // ½(1 + tanh u) = 1/(1 + e⁻²ᵘ), which loses nothing where tanh nears −1.
  return x / (1.0 + exp(-1.5957691216 * (x + 0.044715 * x * x * x)));
}
`;

/**
 * Sine and cosine by Cody–Waite reduction to [−π/4, π/4] (π/2 split in three floats, exact products for |k| < 2¹⁶) and
 * minimax polynomials (Cephes sinf/cosf coefficients).
 */
export const SIN_COS = /* wgsl */ `
fn sine_quadrant(x: f32, shift: i32) -> f32 {
  let k = round(x * 0.636619772);
  let r = fma(-k, 7.54978995489188216e-8, fma(-k, 4.83751296997070312e-4, fma(-k, 1.5703125, x)));
  let q = (i32(k) + shift) & 3;
  let r2 = r * r;
  let s = r + r * r2 * (-0.16666654611 + r2 * (0.0083321608736 + r2 * -0.00019515295891));
  let c = 1.0 + r2 * (-0.5 + r2 * (0.041666645683 + r2 * (-0.0013887316255 + r2 * 0.000024433157)));
  let v = select(s, c, (q & 1) == 1);
  return select(v, -v, q >= 2);
}
fn sine(x: f32) -> f32 {
  return sine_quadrant(x, 0);
}
fn cosine(x: f32) -> f32 {
  return sine_quadrant(x, 1);
}
`;

/** erf by the series for small |x| and Abramowitz & Stegun 7.1.28-like rational exponent fit beyond (error < 4e-7). */
export const ERF = /* wgsl */ `
fn erf(x: f32) -> f32 {
  let a = abs(x);
  let x2 = x * x;
  let series = x * (1.1283791671 + x2 * (-0.3761263890 + x2 * (0.1128379167 + x2 * (-0.0268661706 + x2 * (0.0052239776 + x2 * -0.0008548327)))));
  let t = 1.0 / (1.0 + 0.5 * a);
  let p = -a * a - 1.26551223 + t * (1.00002368 + t * (0.37409196 + t * (0.09678418 + t * (-0.18628806 + t * (0.27886807 + t * (-1.13520398 + t * (1.48851587 + t * (-0.82215223 + t * 0.17087277))))))));
  return select(sign(x) * (1.0 - t * exp(p)), series, a < 0.5);
}
`;

/** Philox 4×32-10 (Salmon et al. 2011): ten rounds on (counter, key); 32×32→64 products by 16-bit halves. */
export const PHILOX = /* wgsl */ `
fn mul_hi(a: u32, b: u32) -> u32 {
  let al = a & 0xffffu;
  let ah = a >> 16u;
  let bl = b & 0xffffu;
  let bh = b >> 16u;
  let mid = ah * bl + ((al * bl) >> 16u);
  return ah * bh + (mid >> 16u) + ((al * bh + (mid & 0xffffu)) >> 16u);
}
fn philox(counter: vec4u, key: vec2u) -> vec4u {
  var c = counter;
  var k = key;
  for (var round = 0u; round < 10u; round++) {
    let hi0 = mul_hi(0xD2511F53u, c.x);
    let lo0 = 0xD2511F53u * c.x;
    let hi1 = mul_hi(0xCD9E8D57u, c.z);
    let lo1 = 0xCD9E8D57u * c.z;
    c = vec4u(hi1 ^ c.y ^ k.x, lo1, hi0 ^ c.w ^ k.y, lo0);
    k += vec2u(0x9E3779B9u, 0xBB67AE85u);
  }
  return c;
}
`;
