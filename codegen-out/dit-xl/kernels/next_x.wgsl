// next_x — philox → shift_right → cast → add → mul → log → sqrt → cos
//   1 use
//   reads  seed u32[2] · first u32[]
//   writes next_x f32[1,4,32,32]
//   cost   16.4 kB · plan: one invocation per element
//   source models/diffusion.ts:128 philox · :128 shift_right · :128 cast · :128 add · :128 mul · :128 log · :128 sqrt · :128 cos

@group(0) @binding(0) var<storage, read> seed: array<u32, 2>;
@group(0) @binding(1) var<storage, read> first: array<u32, 1>;
@group(0) @binding(2) var<storage, read_write> next_x: array<f32, 4096>;
var<private> infinity_bits = 0x7f800000u;
fn infinity() -> f32 {
  return bitcast<f32>(infinity_bits);
}
var<private> not_a_number_bits = 0x7fc00000u;
fn not_a_number() -> f32 {
  return bitcast<f32>(not_a_number_bits);
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

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = group.x * 64u + lane;
  let seed_v = seed[0u];
  let seed_v_1 = seed[1u];
  let first_v = first[0u];
  let philox_1 = philox(vec4u(i, first_v, 4294967295u, 0u), vec2u(seed_v, seed_v_1));
  next_x[i] = sqrt((log_(((f32((philox_1.x >> 8u)) + 0.5) * 5.9604645e-8)) * (-2.0))) * cosine((((f32((philox_1.y >> 8u)) + 0.5) * 5.9604645e-8) * 6.2831853));
}
