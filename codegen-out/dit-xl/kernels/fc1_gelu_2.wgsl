// fc1_gelu_2 — gather → layer_norm → add → mul → linear → gelu
//   28 uses: blocks.*.mlp.fc1
//   reads  x f32[2,256,1152] · sampleStep_adaLN_modulation f32[250,2,6912] · step i32[] · fc1_weight f32[4608,1152] · fc1_bias f32[4608]
//   writes gelu f32[512,4608]
//   cost   2.72 GMAC · 33.1 MB · plan: workgroup tile 128×128, 8×8 per invocation, in vectors
//   source models/dit.ts:145 layer_norm · :86 add · :86 mul · :122 linear · :122 gelu

@group(0) @binding(0) var<storage, read> x: array<vec4f, 147456>;
@group(0) @binding(1) var<storage, read> sampleStep_adaLN_modulation: array<vec4f, 864000>;
@group(0) @binding(2) var<storage, read> step_1: array<i32, 1>;
@group(0) @binding(3) var<storage, read> fc1_weight: array<vec4f, 1327104>;
@group(0) @binding(4) var<storage, read> fc1_bias: array<f32, 4608>;
@group(0) @binding(5) var<storage, read_write> gelu_1: array<f32, 2359296>;
var<workgroup> partials: array<f32, 256>;
var<workgroup> row_mean: array<f32, 128>;
var<workgroup> row_inverse_deviation: array<f32, 128>;
var<workgroup> left_tile: array<vec4f, 384>;
var<workgroup> right_tile: array<vec4f, 384>;
fn gelu(x: f32) -> f32 {
  // ½(1 + tanh u) = 1/(1 + e⁻²ᵘ), which loses nothing where tanh nears −1.
  return x / (1.0 + exp(-1.5957691216 * (x + 0.044715 * x * x * x)));
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  var total: f32 = 0.0;
  let base = group.y * 36864u + (lane / 2u) * 288u + (lane % 2u);
  for (var s = 0u; s < 144u; s++) {
    let x_v = x[base + s * 2u];
    total += x_v.x;
    total += x_v.y;
    total += x_v.z;
    total += x_v.w;
  }
  partials[lane] = total;
  workgroupBarrier();
  if (lane < 128u) {
    let row_sum = partials[lane * 2u] + partials[lane * 2u + 1u];
    let mean = row_sum * 0.00086805556;
    row_mean[lane] = mean;
  }
  workgroupBarrier();
  var total_1: f32 = 0.0;
  for (var s_1 = 0u; s_1 < 144u; s_1++) {
    let x_v_1 = x[base + s_1 * 2u];
    let mean_1 = row_mean[lane / 2u];
    let sub = x_v_1.x - mean_1;
    total_1 += sub * sub;
    let mean_2 = row_mean[lane / 2u];
    let sub_1 = x_v_1.y - mean_2;
    total_1 += sub_1 * sub_1;
    let mean_3 = row_mean[lane / 2u];
    let sub_2 = x_v_1.z - mean_3;
    total_1 += sub_2 * sub_2;
    let mean_4 = row_mean[lane / 2u];
    let sub_3 = x_v_1.w - mean_4;
    total_1 += sub_3 * sub_3;
  }
  partials[lane] = total_1;
  workgroupBarrier();
  if (lane < 128u) {
    let row_sum_1 = partials[lane * 2u] + partials[lane * 2u + 1u];
    let inverse_deviation = inverseSqrt(((row_sum_1 * 0.00086805556) + 0.000001));
    row_inverse_deviation[lane] = inverse_deviation;
  }
  workgroupBarrier();
  var acc_0_0: vec4f = vec4f(0.0);
  var acc_0_1: vec4f = vec4f(0.0);
  var acc_1_0: vec4f = vec4f(0.0);
  var acc_1_1: vec4f = vec4f(0.0);
  var acc_2_0: vec4f = vec4f(0.0);
  var acc_2_1: vec4f = vec4f(0.0);
  var acc_3_0: vec4f = vec4f(0.0);
  var acc_3_1: vec4f = vec4f(0.0);
  var acc_4_0: vec4f = vec4f(0.0);
  var acc_4_1: vec4f = vec4f(0.0);
  var acc_5_0: vec4f = vec4f(0.0);
  var acc_5_1: vec4f = vec4f(0.0);
  var acc_6_0: vec4f = vec4f(0.0);
  var acc_6_1: vec4f = vec4f(0.0);
  var acc_7_0: vec4f = vec4f(0.0);
  var acc_7_1: vec4f = vec4f(0.0);
  let x_v_2 = x[base];
  let mean_5 = row_mean[lane / 2u];
  let sub_4 = x_v_2.x - mean_5;
  let inverse_deviation_1 = row_inverse_deviation[lane / 2u];
  let step_1_v = step_1[0u];
  let row = min(u32(max(step_1_v, 0i)), 249u);
  let sampleStep_adaLN_modulation_v = sampleStep_adaLN_modulation[(lane % 2u) + (group.y / 2u) * 1728u + row * 3456u + 1152u];
  let sampleStep_adaLN_modulation_v_1 = sampleStep_adaLN_modulation[(lane % 2u) + (group.y / 2u) * 1728u + row * 3456u + 864u];
  let mean_6 = row_mean[lane / 2u];
  let sub_5 = x_v_2.y - mean_6;
  let inverse_deviation_2 = row_inverse_deviation[lane / 2u];
  let mean_7 = row_mean[lane / 2u];
  let sub_6 = x_v_2.z - mean_7;
  let inverse_deviation_3 = row_inverse_deviation[lane / 2u];
  let mean_8 = row_mean[lane / 2u];
  let sub_7 = x_v_2.w - mean_8;
  let inverse_deviation_4 = row_inverse_deviation[lane / 2u];
  let next = vec4f(((sub_4 * inverse_deviation_1) * (sampleStep_adaLN_modulation_v.x + 1.0)) + sampleStep_adaLN_modulation_v_1.x, ((sub_5 * inverse_deviation_2) * (sampleStep_adaLN_modulation_v.y + 1.0)) + sampleStep_adaLN_modulation_v_1.y, ((sub_6 * inverse_deviation_3) * (sampleStep_adaLN_modulation_v.z + 1.0)) + sampleStep_adaLN_modulation_v_1.z, ((sub_7 * inverse_deviation_4) * (sampleStep_adaLN_modulation_v.w + 1.0)) + sampleStep_adaLN_modulation_v_1.w);
  let fc1_weight_v = fc1_weight[group.x * 36864u + (lane / 2u) * 288u + (lane % 2u)];
  left_tile[(lane / 2u) * 3u + (lane % 2u)] = next;
  right_tile[(lane / 2u) * 3u + (lane % 2u)] = fc1_weight_v;
  workgroupBarrier();
  let base_1 = (lane % 2u) + (group.y / 2u) * 1728u + row * 3456u;
  let base_2 = group.x * 36864u + (lane / 2u) * 288u + (lane % 2u);
  let base_3 = (lane / 16u) * 3u;
  let base_4 = (lane % 16u) * 3u;
  for (var t = 0u; t < 144u; t++) {
    let tile = min(t + 1u, 143u);
    let x_v_3 = x[base + tile * 2u];
    let mean_9 = row_mean[lane / 2u];
    let sub_8 = x_v_3.x - mean_9;
    let inverse_deviation_5 = row_inverse_deviation[lane / 2u];
    let sampleStep_adaLN_modulation_v_2 = sampleStep_adaLN_modulation[base_1 + tile * 2u + 1152u];
    let sampleStep_adaLN_modulation_v_3 = sampleStep_adaLN_modulation[base_1 + tile * 2u + 864u];
    let mean_10 = row_mean[lane / 2u];
    let sub_9 = x_v_3.y - mean_10;
    let inverse_deviation_6 = row_inverse_deviation[lane / 2u];
    let mean_11 = row_mean[lane / 2u];
    let sub_10 = x_v_3.z - mean_11;
    let inverse_deviation_7 = row_inverse_deviation[lane / 2u];
    let mean_12 = row_mean[lane / 2u];
    let sub_11 = x_v_3.w - mean_12;
    let inverse_deviation_8 = row_inverse_deviation[lane / 2u];
    let next_1 = vec4f(((sub_8 * inverse_deviation_5) * (sampleStep_adaLN_modulation_v_2.x + 1.0)) + sampleStep_adaLN_modulation_v_3.x, ((sub_9 * inverse_deviation_6) * (sampleStep_adaLN_modulation_v_2.y + 1.0)) + sampleStep_adaLN_modulation_v_3.y, ((sub_10 * inverse_deviation_7) * (sampleStep_adaLN_modulation_v_2.z + 1.0)) + sampleStep_adaLN_modulation_v_3.z, ((sub_11 * inverse_deviation_8) * (sampleStep_adaLN_modulation_v_2.w + 1.0)) + sampleStep_adaLN_modulation_v_3.w);
    let fc1_weight_v_1 = fc1_weight[base_2 + tile * 2u];
    for (var four = 0u; four < 2u; four++) {
      let a_0_0 = left_tile[base_3 + four];
      let a_0_1 = left_tile[base_3 + four + 48u];
      let a_0_2 = left_tile[base_3 + four + 96u];
      let a_0_3 = left_tile[base_3 + four + 144u];
      let a_1_0 = left_tile[base_3 + four + 192u];
      let a_1_1 = left_tile[base_3 + four + 240u];
      let a_1_2 = left_tile[base_3 + four + 288u];
      let a_1_3 = left_tile[base_3 + four + 336u];
      let w_0_0 = right_tile[base_4 + four];
      let w_0_1 = right_tile[base_4 + four + 48u];
      let w_0_2 = right_tile[base_4 + four + 96u];
      let w_0_3 = right_tile[base_4 + four + 144u];
      let w_0_0_1 = vec4f(w_0_0.x, w_0_1.x, w_0_2.x, w_0_3.x);
      acc_0_0 = fma(vec4f(a_0_0.x), w_0_0_1, acc_0_0);
      acc_1_0 = fma(vec4f(a_0_1.x), w_0_0_1, acc_1_0);
      acc_2_0 = fma(vec4f(a_0_2.x), w_0_0_1, acc_2_0);
      acc_3_0 = fma(vec4f(a_0_3.x), w_0_0_1, acc_3_0);
      acc_4_0 = fma(vec4f(a_1_0.x), w_0_0_1, acc_4_0);
      acc_5_0 = fma(vec4f(a_1_1.x), w_0_0_1, acc_5_0);
      acc_6_0 = fma(vec4f(a_1_2.x), w_0_0_1, acc_6_0);
      acc_7_0 = fma(vec4f(a_1_3.x), w_0_0_1, acc_7_0);
      let w_0_1_1 = vec4f(w_0_0.y, w_0_1.y, w_0_2.y, w_0_3.y);
      acc_0_0 = fma(vec4f(a_0_0.y), w_0_1_1, acc_0_0);
      acc_1_0 = fma(vec4f(a_0_1.y), w_0_1_1, acc_1_0);
      acc_2_0 = fma(vec4f(a_0_2.y), w_0_1_1, acc_2_0);
      acc_3_0 = fma(vec4f(a_0_3.y), w_0_1_1, acc_3_0);
      acc_4_0 = fma(vec4f(a_1_0.y), w_0_1_1, acc_4_0);
      acc_5_0 = fma(vec4f(a_1_1.y), w_0_1_1, acc_5_0);
      acc_6_0 = fma(vec4f(a_1_2.y), w_0_1_1, acc_6_0);
      acc_7_0 = fma(vec4f(a_1_3.y), w_0_1_1, acc_7_0);
      let w_0_2_1 = vec4f(w_0_0.z, w_0_1.z, w_0_2.z, w_0_3.z);
      acc_0_0 = fma(vec4f(a_0_0.z), w_0_2_1, acc_0_0);
      acc_1_0 = fma(vec4f(a_0_1.z), w_0_2_1, acc_1_0);
      acc_2_0 = fma(vec4f(a_0_2.z), w_0_2_1, acc_2_0);
      acc_3_0 = fma(vec4f(a_0_3.z), w_0_2_1, acc_3_0);
      acc_4_0 = fma(vec4f(a_1_0.z), w_0_2_1, acc_4_0);
      acc_5_0 = fma(vec4f(a_1_1.z), w_0_2_1, acc_5_0);
      acc_6_0 = fma(vec4f(a_1_2.z), w_0_2_1, acc_6_0);
      acc_7_0 = fma(vec4f(a_1_3.z), w_0_2_1, acc_7_0);
      let w_0_3_1 = vec4f(w_0_0.w, w_0_1.w, w_0_2.w, w_0_3.w);
      acc_0_0 = fma(vec4f(a_0_0.w), w_0_3_1, acc_0_0);
      acc_1_0 = fma(vec4f(a_0_1.w), w_0_3_1, acc_1_0);
      acc_2_0 = fma(vec4f(a_0_2.w), w_0_3_1, acc_2_0);
      acc_3_0 = fma(vec4f(a_0_3.w), w_0_3_1, acc_3_0);
      acc_4_0 = fma(vec4f(a_1_0.w), w_0_3_1, acc_4_0);
      acc_5_0 = fma(vec4f(a_1_1.w), w_0_3_1, acc_5_0);
      acc_6_0 = fma(vec4f(a_1_2.w), w_0_3_1, acc_6_0);
      acc_7_0 = fma(vec4f(a_1_3.w), w_0_3_1, acc_7_0);
      let w_1_0 = right_tile[base_4 + four + 192u];
      let w_1_1 = right_tile[base_4 + four + 240u];
      let w_1_2 = right_tile[base_4 + four + 288u];
      let w_1_3 = right_tile[base_4 + four + 336u];
      let w_1_0_1 = vec4f(w_1_0.x, w_1_1.x, w_1_2.x, w_1_3.x);
      acc_0_1 = fma(vec4f(a_0_0.x), w_1_0_1, acc_0_1);
      acc_1_1 = fma(vec4f(a_0_1.x), w_1_0_1, acc_1_1);
      acc_2_1 = fma(vec4f(a_0_2.x), w_1_0_1, acc_2_1);
      acc_3_1 = fma(vec4f(a_0_3.x), w_1_0_1, acc_3_1);
      acc_4_1 = fma(vec4f(a_1_0.x), w_1_0_1, acc_4_1);
      acc_5_1 = fma(vec4f(a_1_1.x), w_1_0_1, acc_5_1);
      acc_6_1 = fma(vec4f(a_1_2.x), w_1_0_1, acc_6_1);
      acc_7_1 = fma(vec4f(a_1_3.x), w_1_0_1, acc_7_1);
      let w_1_1_1 = vec4f(w_1_0.y, w_1_1.y, w_1_2.y, w_1_3.y);
      acc_0_1 = fma(vec4f(a_0_0.y), w_1_1_1, acc_0_1);
      acc_1_1 = fma(vec4f(a_0_1.y), w_1_1_1, acc_1_1);
      acc_2_1 = fma(vec4f(a_0_2.y), w_1_1_1, acc_2_1);
      acc_3_1 = fma(vec4f(a_0_3.y), w_1_1_1, acc_3_1);
      acc_4_1 = fma(vec4f(a_1_0.y), w_1_1_1, acc_4_1);
      acc_5_1 = fma(vec4f(a_1_1.y), w_1_1_1, acc_5_1);
      acc_6_1 = fma(vec4f(a_1_2.y), w_1_1_1, acc_6_1);
      acc_7_1 = fma(vec4f(a_1_3.y), w_1_1_1, acc_7_1);
      let w_1_2_1 = vec4f(w_1_0.z, w_1_1.z, w_1_2.z, w_1_3.z);
      acc_0_1 = fma(vec4f(a_0_0.z), w_1_2_1, acc_0_1);
      acc_1_1 = fma(vec4f(a_0_1.z), w_1_2_1, acc_1_1);
      acc_2_1 = fma(vec4f(a_0_2.z), w_1_2_1, acc_2_1);
      acc_3_1 = fma(vec4f(a_0_3.z), w_1_2_1, acc_3_1);
      acc_4_1 = fma(vec4f(a_1_0.z), w_1_2_1, acc_4_1);
      acc_5_1 = fma(vec4f(a_1_1.z), w_1_2_1, acc_5_1);
      acc_6_1 = fma(vec4f(a_1_2.z), w_1_2_1, acc_6_1);
      acc_7_1 = fma(vec4f(a_1_3.z), w_1_2_1, acc_7_1);
      let w_1_3_1 = vec4f(w_1_0.w, w_1_1.w, w_1_2.w, w_1_3.w);
      acc_0_1 = fma(vec4f(a_0_0.w), w_1_3_1, acc_0_1);
      acc_1_1 = fma(vec4f(a_0_1.w), w_1_3_1, acc_1_1);
      acc_2_1 = fma(vec4f(a_0_2.w), w_1_3_1, acc_2_1);
      acc_3_1 = fma(vec4f(a_0_3.w), w_1_3_1, acc_3_1);
      acc_4_1 = fma(vec4f(a_1_0.w), w_1_3_1, acc_4_1);
      acc_5_1 = fma(vec4f(a_1_1.w), w_1_3_1, acc_5_1);
      acc_6_1 = fma(vec4f(a_1_2.w), w_1_3_1, acc_6_1);
      acc_7_1 = fma(vec4f(a_1_3.w), w_1_3_1, acc_7_1);
    }
    workgroupBarrier();
    left_tile[(lane / 2u) * 3u + (lane % 2u)] = next_1;
    right_tile[(lane / 2u) * 3u + (lane % 2u)] = fc1_weight_v_1;
    workgroupBarrier();
  }
  var tile_1 = array<f32, 64>(
    acc_0_0.x, acc_0_0.y, acc_0_0.z, acc_0_0.w, acc_0_1.x, acc_0_1.y, acc_0_1.z, acc_0_1.w,
    acc_1_0.x, acc_1_0.y, acc_1_0.z, acc_1_0.w, acc_1_1.x, acc_1_1.y, acc_1_1.z, acc_1_1.w,
    acc_2_0.x, acc_2_0.y, acc_2_0.z, acc_2_0.w, acc_2_1.x, acc_2_1.y, acc_2_1.z, acc_2_1.w,
    acc_3_0.x, acc_3_0.y, acc_3_0.z, acc_3_0.w, acc_3_1.x, acc_3_1.y, acc_3_1.z, acc_3_1.w,
    acc_4_0.x, acc_4_0.y, acc_4_0.z, acc_4_0.w, acc_4_1.x, acc_4_1.y, acc_4_1.z, acc_4_1.w,
    acc_5_0.x, acc_5_0.y, acc_5_0.z, acc_5_0.w, acc_5_1.x, acc_5_1.y, acc_5_1.z, acc_5_1.w,
    acc_6_0.x, acc_6_0.y, acc_6_0.z, acc_6_0.w, acc_6_1.x, acc_6_1.y, acc_6_1.z, acc_6_1.w,
    acc_7_0.x, acc_7_0.y, acc_7_0.z, acc_7_0.w, acc_7_1.x, acc_7_1.y, acc_7_1.z, acc_7_1.w,
  );
  let base_8 = group.x * 128u + (lane % 16u);
  let base_10 = group.x * 128u + group.y * 589824u + (lane / 16u) * 4608u + (lane % 16u);
  for (var rows = 0u; rows < 2u; rows++) {
    let base_5 = rows * 32u;
    let base_11 = base_10 + rows * 294912u;
    for (var r = 0u; r < 4u; r++) {
      let base_6 = base_5 + r * 8u;
      let base_12 = base_11 + r * 73728u;
      for (var columns = 0u; columns < 2u; columns++) {
        let base_7 = base_6 + columns * 4u;
        let base_9 = base_8 + columns * 64u;
        let base_13 = base_12 + columns * 64u;
        for (var c = 0u; c < 4u; c++) {
          let product = tile_1[base_7 + c];
          let fc1_bias_v = fc1_bias[base_9 + c * 16u];
          let fc1 = product + fc1_bias_v;
          gelu_1[base_13 + c * 16u] = gelu(fc1);
        }
      }
    }
  }
}
