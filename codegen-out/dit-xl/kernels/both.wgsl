// both — layer_norm → gather → add → mul → linear
//   1 use: final_layer.linear
//   reads  tokens f32[2,256,1152] · adaLN_modulation_28 f32[250,2,2304] · step i32[] · linear_weight f32[32,1152] · linear_bias f32[32]
//   writes both f32[2,8,32,32]
//   cost   18.9 MMAC · 2.59 MB · plan: workgroup tile 64×64, 4×4 per invocation
//   source models/dit-blocks.ts:25 layer_norm · :21 add · :21 mul · models/dit.ts:126 linear

@group(0) @binding(0) var<storage, read> tokens: array<f32, 589824>;
@group(0) @binding(1) var<storage, read> adaLN_modulation_28: array<f32, 1152000>;
@group(0) @binding(2) var<storage, read> step_1: array<i32, 1>;
@group(0) @binding(3) var<storage, read> linear_weight: array<f32, 36864>;
@group(0) @binding(4) var<storage, read> linear_bias: array<f32, 32>;
@group(0) @binding(5) var<storage, read_write> both: array<f32, 16384>;
var<workgroup> left_tile: array<f32, 1040>;
var<workgroup> right_tile: array<f32, 1040>;
var<workgroup> partials: array<f32, 256>;
var<workgroup> row_mean: array<f32, 64>;
var<workgroup> row_inverse_deviation: array<f32, 64>;

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
  let tokens_base = group.y * 73728u + (lane / 4u) * 1152u + (lane % 4u);
  for (var s = 0u; s < 288u; s++) {
    let tokens_v = tokens[tokens_base + s * 4u];
    total += tokens_v;
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
    let tokens_v_1 = tokens[tokens_base + s_1 * 4u];
    let mean_1 = row_mean[lane / 4u];
    let sub = tokens_v_1 - mean_1;
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
  let tokens_base_1 = group.y * 73728u;
  let step_1_v = step_1[0u];
  let row = min(u32(max(step_1_v, 0i)), 249u);
  let adaLN_modulation_28_base = (group.y / 4u) * 2304u + row * 4608u;
  let left_tile_base = (lane / 16u) * 4u;
  let right_tile_base = (lane % 16u) * 4u;
  for (var t = 0u; t < 72u; t++) {
    let tokens_base_2 = tokens_base_1 + t * 16u;
    let adaLN_modulation_28_base_1 = adaLN_modulation_28_base + t * 16u;
    for (var s_2 = 0u; s_2 < 4u; s_2++) {
      let e = lane + s_2 * 256u;
      let tokens_v_2 = tokens[tokens_base_2 + (e / 16u) * 1152u + (e % 16u)];
      let mean_2 = row_mean[e / 16u];
      let sub_1 = tokens_v_2 - mean_2;
      let inverse_deviation_1 = row_inverse_deviation[e / 16u];
      let normed = sub_1 * inverse_deviation_1;
      let adaLN_modulation_28_v = adaLN_modulation_28[adaLN_modulation_28_base_1 + (e % 16u) + 1152u];
      let adaLN_modulation_28_v_1 = adaLN_modulation_28[adaLN_modulation_28_base_1 + (e % 16u)];
      let normed_1 = (normed * (adaLN_modulation_28_v + 1.0)) + adaLN_modulation_28_v_1;
      left_tile[(e / 16u) + (e % 16u) * 65u] = normed_1;
    }
    let linear_weight_base = t * 16u;
    for (var s_3 = 0u; s_3 < 4u; s_3++) {
      let e_1 = lane + s_3 * 256u;
      let column = min(e_1 / 16u, 31u);
      let linear_weight_v = linear_weight[linear_weight_base + (e_1 % 16u) + column * 1152u];
      right_tile[(e_1 / 16u) + (e_1 % 16u) * 65u] = linear_weight_v;
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
  let i_1 = lane / 16u;
  let both_base = (group.y / 4u) * 8192u + (group.y % 4u) * 256u + (i_1 / 4u) * 64u + (i_1 % 4u) * 8u;
  for (var c = 0u; c < 4u; c++) {
    let column_1 = min(right_tile_base + c, 31u);
    let i = column_1 / 8u;
    let linear_bias_v = linear_bias[column_1];
    let both_base_1 = both_base + (column_1 % 8u) * 1024u + (i / 2u) * 32u + (i % 2u);
    for (var r = 0u; r < 4u; r++) {
      let product = tile[r * 4u + c];
      if ((right_tile_base + c) < 32u) {
        both[both_base_1 + r * 2u] = product + linear_bias_v;
      }
    }
  }
}
