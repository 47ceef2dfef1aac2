// gather_mul_cos — gather → mul → cos
//   1 use
//   reads  table f32[250,12] · table f32[128]
//   writes cos f32[250,2,128]
//   cost   269 kB · plan: one invocation per element
//   source models/sinusoids.ts:28 mul · :29 cos

@group(0) @binding(0) var<storage, read> table: array<f32, 3000>;
@group(0) @binding(1) var<storage, read> table_1: array<f32, 128>;
@group(0) @binding(2) var<storage, read_write> cos_1: array<f32, 64000>;
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

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = group.x * 64u + lane;
  let i_1 = i / 128u;
  let row = min(u32(max(i32(i_1 / 2u), 0i)), 249u);
  let table_v = table[row * 12u];
  let table_1_v = table_1[i % 128u];
  let angles = table_v * table_1_v;
  cos_1[i] = cosine(angles);
}
