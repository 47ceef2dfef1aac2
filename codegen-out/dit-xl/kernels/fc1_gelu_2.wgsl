// fc1_gelu_2 — gather → layer_norm → add → mul → linear → gelu
//   28 uses: blocks.*.mlp.fc1
//   reads  x f32[2,256,1152] · sampleStep_adaLN_modulation f32[250,2,6912] · step i32[] · fc1_weight f32[4608,1152] · fc1_bias f32[4608]
//   writes gelu f32[512,4608]
//   cost   2.72 GMAC · 33.1 MB · plan: workgroup tile 64×64, 4×4 per invocation
//   source models/dit-blocks.ts:25 layer_norm · :21 add · :21 mul · :91 linear · :91 gelu

@group(0) @binding(0) var<storage, read> x: array<f32, 589824>;
@group(0) @binding(1) var<storage, read> sampleStep_adaLN_modulation: array<f32, 3456000>;
@group(0) @binding(2) var<storage, read> step_1: array<i32, 1>;
@group(0) @binding(3) var<storage, read> fc1_weight: array<f32, 5308416>;
@group(0) @binding(4) var<storage, read> fc1_bias: array<f32, 4608>;
@group(0) @binding(5) var<storage, read_write> gelu_1: array<f32, 2359296>;
var<workgroup> left_tile: array<f32, 1040>;
var<workgroup> right_tile: array<f32, 1040>;
var<workgroup> partials: array<f32, 256>;
var<workgroup> row_mean: array<f32, 64>;
var<workgroup> row_inverse_deviation: array<f32, 64>;
fn gelu(x: f32) -> f32 {
  // ½(1 + tanh u) = 1/(1 + e⁻²ᵘ), which loses nothing where tanh nears −1.
  return x / (1.0 + exp(-1.5957691216 * (x + 0.044715 * x * x * x)));
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  var acc_0_0: f32 = 0.0;
  var acc_0_1: f32 = 0.0;
  var acc_0_2: f32 = 0.0;
  var acc_0_3: f32 = 0.0;
  var acc_1_0: f32 = 0.0;
  var acc_1_1: f32 = 0.0;
  var acc_1_2: f32 = 0.0;
  var acc_1_3: f32 = 0.0;
  var acc_2_0: f32 = 0.0;
  var acc_2_1: f32 = 0.0;
  var acc_2_2: f32 = 0.0;
  var acc_2_3: f32 = 0.0;
  var acc_3_0: f32 = 0.0;
  var acc_3_1: f32 = 0.0;
  var acc_3_2: f32 = 0.0;
  var acc_3_3: f32 = 0.0;
  var total: f32 = 0.0;
  let x_base = group.y * 73728u + (lane / 4u) * 1152u + (lane % 4u);
  for (var s = 0u; s < 288u; s++) {
    let x_v = x[x_base + s * 4u];
    total += x_v;
  }
  partials[lane] = total;
  workgroupBarrier();
  if (lane < 64u) {
    let row_sum = partials[lane * 4u] + partials[lane * 4u + 1u] + partials[lane * 4u + 2u] + partials[lane * 4u + 3u];
    let mean = row_sum * 0.00086805556;
    row_mean[lane] = mean;
  }
  workgroupBarrier();
  var total_1: f32 = 0.0;
  for (var s_1 = 0u; s_1 < 288u; s_1++) {
    let x_v_1 = x[x_base + s_1 * 4u];
    let mean_1 = row_mean[lane / 4u];
    let sub = x_v_1 - mean_1;
    total_1 += sub * sub;
  }
  partials[lane] = total_1;
  workgroupBarrier();
  if (lane < 64u) {
    let row_sum_1 = partials[lane * 4u] + partials[lane * 4u + 1u] + partials[lane * 4u + 2u] + partials[lane * 4u + 3u];
    let inverse_deviation = inverseSqrt(((row_sum_1 * 0.00086805556) + 0.000001));
    row_inverse_deviation[lane] = inverse_deviation;
  }
  workgroupBarrier();
  let x_base_1 = group.y * 73728u;
  let step_1_v = step_1[0u];
  let row = min(u32(max(step_1_v, 0i)), 249u);
  let sampleStep_adaLN_modulation_base = (group.y / 4u) * 6912u + row * 13824u;
  let fc1_weight_base = group.x * 73728u;
  let left_tile_base = (lane / 16u) * 4u;
  let right_tile_base = (lane % 16u) * 4u;
  for (var t = 0u; t < 72u; t++) {
    let x_base_2 = x_base_1 + t * 16u;
    let sampleStep_adaLN_modulation_base_1 = sampleStep_adaLN_modulation_base + t * 16u;
    for (var s_2 = 0u; s_2 < 4u; s_2++) {
      let e = lane + s_2 * 256u;
      let x_v_2 = x[x_base_2 + (e / 16u) * 1152u + (e % 16u)];
      let mean_2 = row_mean[e / 16u];
      let sub_1 = x_v_2 - mean_2;
      let inverse_deviation_1 = row_inverse_deviation[e / 16u];
      let sampleStep_adaLN_modulation_v = sampleStep_adaLN_modulation[sampleStep_adaLN_modulation_base_1 + (e % 16u) + 4608u];
      let sampleStep_adaLN_modulation_v_1 = sampleStep_adaLN_modulation[sampleStep_adaLN_modulation_base_1 + (e % 16u) + 3456u];
      left_tile[(e / 16u) + (e % 16u) * 65u] = ((sub_1 * inverse_deviation_1) * (sampleStep_adaLN_modulation_v + 1.0)) + sampleStep_adaLN_modulation_v_1;
    }
    let fc1_weight_base_1 = fc1_weight_base + t * 16u;
    for (var s_3 = 0u; s_3 < 4u; s_3++) {
      let e_1 = lane + s_3 * 256u;
      let fc1_weight_v = fc1_weight[fc1_weight_base_1 + (e_1 / 16u) * 1152u + (e_1 % 16u)];
      right_tile[(e_1 / 16u) + (e_1 % 16u) * 65u] = fc1_weight_v;
    }
    workgroupBarrier();
    for (var kk = 0u; kk < 16u; kk++) {
      let a_0 = left_tile[left_tile_base + kk * 65u];
      let a_1 = left_tile[left_tile_base + kk * 65u + 1u];
      let a_2 = left_tile[left_tile_base + kk * 65u + 2u];
      let a_3 = left_tile[left_tile_base + kk * 65u + 3u];
      let w_0 = right_tile[right_tile_base + kk * 65u];
      let w_1 = right_tile[right_tile_base + kk * 65u + 1u];
      let w_2 = right_tile[right_tile_base + kk * 65u + 2u];
      let w_3 = right_tile[right_tile_base + kk * 65u + 3u];
      acc_0_0 = fma(a_0, w_0, acc_0_0);
      acc_0_1 = fma(a_0, w_1, acc_0_1);
      acc_0_2 = fma(a_0, w_2, acc_0_2);
      acc_0_3 = fma(a_0, w_3, acc_0_3);
      acc_1_0 = fma(a_1, w_0, acc_1_0);
      acc_1_1 = fma(a_1, w_1, acc_1_1);
      acc_1_2 = fma(a_1, w_2, acc_1_2);
      acc_1_3 = fma(a_1, w_3, acc_1_3);
      acc_2_0 = fma(a_2, w_0, acc_2_0);
      acc_2_1 = fma(a_2, w_1, acc_2_1);
      acc_2_2 = fma(a_2, w_2, acc_2_2);
      acc_2_3 = fma(a_2, w_3, acc_2_3);
      acc_3_0 = fma(a_3, w_0, acc_3_0);
      acc_3_1 = fma(a_3, w_1, acc_3_1);
      acc_3_2 = fma(a_3, w_2, acc_3_2);
      acc_3_3 = fma(a_3, w_3, acc_3_3);
    }
    workgroupBarrier();
  }
  var tile = array<f32, 16>(
    acc_0_0, acc_0_1, acc_0_2, acc_0_3, acc_1_0, acc_1_1, acc_1_2, acc_1_3,
    acc_2_0, acc_2_1, acc_2_2, acc_2_3, acc_3_0, acc_3_1, acc_3_2, acc_3_3,
  );
  let fc1_bias_base = group.x * 64u + right_tile_base;
  let gelu_1_base = group.x * 64u + group.y * 294912u + (lane / 16u) * 18432u + right_tile_base;
  for (var c = 0u; c < 4u; c++) {
    let fc1_bias_v = fc1_bias[fc1_bias_base + c];
    let gelu_1_base_1 = gelu_1_base + c;
    for (var r = 0u; r < 4u; r++) {
      let product = tile[r * 4u + c];
      let fc1 = product + fc1_bias_v;
      gelu_1[gelu_1_base_1 + r * 4608u] = gelu(fc1);
    }
  }
}
