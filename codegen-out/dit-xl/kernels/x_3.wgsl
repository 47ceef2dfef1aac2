// x_3 — cast → philox → shift_right → add → mul → log → sqrt → cos → gather → sub → lt → select → neg → exp
//   1 use
//   reads  table f32[250,17] · step i32[] · both f32[2,8,32,32] · cfgScale f32[] · seed u32[2] · first u32[] · x f32[1,4,32,32]
//   writes x f32[1,4,32,32], in place of x
//   cost   98.4 kB · plan: one invocation per element
//   source models/diffusion.ts:164 cast · :128 philox · :128 shift_right · :128 cast · :128 add · :128 mul · :128 log · :128 sqrt · :128 cos · models/guidance.ts:76 sub · :76 mul · :76 add · :78 lt · :78 select · models/reverse.ts:73 mul · :73 sub · :81 mul · :81 add · :85 add · :85 mul · :86 mul · :86 neg · :86 add · models/samplers.ts:34 mul · :34 exp · :34 add

@group(0) @binding(0) var<storage, read> table: array<f32, 4250>;
@group(0) @binding(1) var<storage, read> step_1: array<i32, 1>;
@group(0) @binding(2) var<storage, read> both: array<f32, 16384>;
@group(0) @binding(3) var<storage, read> cfgScale: array<f32, 1>;
@group(0) @binding(4) var<storage, read> seed: array<u32, 2>;
@group(0) @binding(5) var<storage, read> first: array<u32, 1>;
@group(0) @binding(6) var<storage, read_write> x: array<f32, 4096>;
var<private> infinity_bits = 0x7f800000u;
fn infinity() -> f32 {
  return bitcast<f32>(infinity_bits);
}
var<private> not_a_number_bits = 0x7fc00000u;
fn not_a_number() -> f32 {
  return bitcast<f32>(not_a_number_bits);
}
fn is_nan(x: f32) -> bool {
  return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}
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
fn log_(x: f32) -> f32 {
  let bits = bitcast<u32>(x);
  let is_tiny = bits < 0x00800000u;  // bits·2⁻¹⁴⁹
  let y = log(select(x, f32(bits), is_tiny)) - select(0.0, 103.278929, is_tiny);
  let of_zero = select(y, -infinity(), (bits & 0x7fffffffu) == 0u);
  return select(of_zero, not_a_number(), bits > 0x7f800000u && bits != 0x80000000u);
}
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
fn cosine(x: f32) -> f32 {
  return sine_quadrant(x, 1);
}
fn exp_(x: f32) -> f32 {
  return select(exp(x), x, is_nan(x));
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = group.x * 64u + lane;
  let i_1 = i / 32u;
  let x_v = x[i];
  let step_1_v = step_1[0u];
  let row = min(u32(max(step_1_v, 0i)), 249u);
  let table_v = table[row * 17u + 1u];
  let both_v = both[i + 8192u];
  let both_v_1 = both[i];
  let cfgScale_v = cfgScale[0u];
  let eps = both_v + ((both_v_1 - both_v) * cfgScale_v);
  let out = select(both_v_1, eps, (i32(i_1 / 32u) < 3i));
  let table_v_1 = table[row * 17u + 2u];
  let x0 = (x_v * table_v) - (out * table_v_1);
  let table_v_2 = table[row * 17u + 3u];
  let table_v_3 = table[row * 17u + 4u];
  let mean = (x0 * table_v_2) + (x_v * table_v_3);
  let both_v_2 = both[i + 4096u];
  let f = (both_v_2 + 1.0) * 0.5;
  let table_v_4 = table[row * 17u + 6u];
  let table_v_5 = table[row * 17u + 5u];
  let table_v_6 = table[row * 17u + 8u];
  let seed_v = seed[0u];
  let seed_v_1 = seed[1u];
  let first_v = first[0u];
  let cast_1 = u32(step_1_v);
  let philox_1 = philox(vec4u(i, first_v, cast_1, 0u), vec2u(seed_v, seed_v_1));
  let z = sqrt((log_(((f32((philox_1.x >> 8u)) + 0.5) * 5.9604645e-8)) * (-2.0))) * cosine((((f32((philox_1.y >> 8u)) + 0.5) * 5.9604645e-8) * 6.2831853));
  x[i] = mean + ((exp_((((f * table_v_4) + (((-f) + 1.0) * table_v_5)) * 0.5)) * table_v_6) * z);
}
