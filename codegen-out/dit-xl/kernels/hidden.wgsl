// hidden — mul → cos → sin → linear → silu
//   1 use: t_embedder.mlp.*
//   reads  t f32[1] · table f32[128] · mlp_0_weight f32[1152,256] · mlp_0_bias f32[1152]
//   writes hidden f32[1,1152]
//   cost   295 kMAC · 1.19 MB · plan: 16 invocations per column along k
//   source models/sinusoids.ts:29 mul · :30 cos · :30 sin · models/dit.ts:60 linear · :60 silu

@group(0) @binding(0) var<storage, read> t: array<f32, 1>;
@group(0) @binding(1) var<storage, read> table: array<f32, 128>;
@group(0) @binding(2) var<storage, read> mlp_0_weight: array<f32, 294912>;
@group(0) @binding(3) var<storage, read> mlp_0_bias: array<f32, 1152>;
@group(0) @binding(4) var<storage, read_write> hidden: array<f32, 1152>;
var<workgroup> parts: array<f32, 64>;
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
fn silu(x: f32) -> f32 {
  return x / (1.0 + exp(-x));
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  var acc_0: f32 = 0.0;
  let mlp_0_weight_base = group.x * 1024u + (lane / 16u) * 256u + (lane % 16u);
  let t_v = t[0u];
  let table_base = lane % 16u;
  for (var s = 0u; s < 8u; s++) {
    let mlp_0_weight_v = mlp_0_weight[mlp_0_weight_base + s * 16u];
    let table_v = table[table_base + s * 16u];
    let angles = t_v * table_v;
    acc_0 = fma(cosine(angles), mlp_0_weight_v, acc_0);
  }
  for (var s_1 = 0u; s_1 < 8u; s_1++) {
    let mlp_0_weight_v_1 = mlp_0_weight[mlp_0_weight_base + s_1 * 16u + 128u];
    let table_v_1 = table[table_base + s_1 * 16u];
    let angles_1 = t_v * table_v_1;
    acc_0 = fma(sine(angles_1), mlp_0_weight_v_1, acc_0);
  }
  parts[lane] = acc_0;
  workgroupBarrier();
  let mlp_0_bias_base = group.x * 4u;
  if (lane < 4u) {
    var sum: f32 = 0.0;
    let parts_base = lane * 16u;
    for (var p = 0u; p < 16u; p++) {
      sum += parts[parts_base + p];
    }
    let mlp_0_bias_v = mlp_0_bias[mlp_0_bias_base + lane];
    let mlp = sum + mlp_0_bias_v;
    hidden[mlp_0_bias_base + lane] = silu(mlp);
  }
}
