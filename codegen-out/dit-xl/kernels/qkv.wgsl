// qkv — layer_norm → add → mul → linear
//   28 uses: blocks.*.attn.qkv
//   reads  tokens f32[1,256,1152] · scaleA f32[1,1,1152] · shiftA f32[1,1,1152] · qkv_weight f32[3456,1152] · qkv_bias f32[3456]
//   writes qkv f32[3,1,16,256,72]
//   cost   1.02 GMAC · 20.7 MB · plan: workgroup tile 64×64, 8×8 per invocation, in vectors
//   source models/dit.ts:142 layer_norm · :86 add · :86 mul · :101 linear

@group(0) @binding(0) var<storage, read> tokens: array<vec4f, 73728>;
@group(0) @binding(1) var<storage, read> scaleA: array<vec4f, 288>;
@group(0) @binding(2) var<storage, read> shiftA: array<vec4f, 288>;
@group(0) @binding(3) var<storage, read> qkv_weight: array<vec4f, 995328>;
@group(0) @binding(4) var<storage, read> qkv_bias: array<f32, 3456>;
@group(0) @binding(5) var<storage, read_write> qkv: array<f32, 884736>;
var<workgroup> partials: array<f32, 64>;
var<workgroup> row_mean: array<f32, 64>;
var<workgroup> row_inverse_deviation: array<f32, 64>;
var<workgroup> left_tile: array<vec4f, 192>;
var<workgroup> right_tile: array<vec4f, 192>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  var total: f32 = 0.0;
  let base = lane * 288u + group.y * 18432u;
  for (var s = 0u; s < 288u; s++) {
    let tokens_v = tokens[base + s];
    total += tokens_v.x;
    total += tokens_v.y;
    total += tokens_v.z;
    total += tokens_v.w;
  }
  partials[lane] = total;
  workgroupBarrier();
  let row_sum = partials[lane];
  let mean = row_sum * 0.00086805556;
  row_mean[lane] = mean;
  workgroupBarrier();
  var total_1: f32 = 0.0;
  for (var s_1 = 0u; s_1 < 288u; s_1++) {
    let tokens_v_1 = tokens[base + s_1];
    let mean_1 = row_mean[lane];
    let sub = tokens_v_1.x - mean_1;
    total_1 += sub * sub;
    let mean_2 = row_mean[lane];
    let sub_1 = tokens_v_1.y - mean_2;
    total_1 += sub_1 * sub_1;
    let mean_3 = row_mean[lane];
    let sub_2 = tokens_v_1.z - mean_3;
    total_1 += sub_2 * sub_2;
    let mean_4 = row_mean[lane];
    let sub_3 = tokens_v_1.w - mean_4;
    total_1 += sub_3 * sub_3;
  }
  partials[lane] = total_1;
  workgroupBarrier();
  let row_sum_1 = partials[lane];
  let inverse_deviation = inverseSqrt(((row_sum_1 * 0.00086805556) + 0.000001));
  row_inverse_deviation[lane] = inverse_deviation;
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
  let tokens_v_2 = tokens[group.y * 18432u + (lane / 2u) * 288u + (lane % 2u)];
  let mean_5 = row_mean[lane / 2u];
  let sub_4 = tokens_v_2.x - mean_5;
  let inverse_deviation_1 = row_inverse_deviation[lane / 2u];
  let scaleA_v = scaleA[lane % 2u];
  let shiftA_v = shiftA[lane % 2u];
  let mean_6 = row_mean[lane / 2u];
  let sub_5 = tokens_v_2.y - mean_6;
  let inverse_deviation_2 = row_inverse_deviation[lane / 2u];
  let mean_7 = row_mean[lane / 2u];
  let sub_6 = tokens_v_2.z - mean_7;
  let inverse_deviation_3 = row_inverse_deviation[lane / 2u];
  let mean_8 = row_mean[lane / 2u];
  let sub_7 = tokens_v_2.w - mean_8;
  let inverse_deviation_4 = row_inverse_deviation[lane / 2u];
  let next = vec4f(((sub_4 * inverse_deviation_1) * (scaleA_v.x + 1.0)) + shiftA_v.x, ((sub_5 * inverse_deviation_2) * (scaleA_v.y + 1.0)) + shiftA_v.y, ((sub_6 * inverse_deviation_3) * (scaleA_v.z + 1.0)) + shiftA_v.z, ((sub_7 * inverse_deviation_4) * (scaleA_v.w + 1.0)) + shiftA_v.w);
  let tokens_v_3 = tokens[group.y * 18432u + (lane / 2u) * 288u + (lane % 2u) + 9216u];
  let mean_9 = row_mean[(lane / 2u) + 32u];
  let sub_8 = tokens_v_3.x - mean_9;
  let inverse_deviation_5 = row_inverse_deviation[(lane / 2u) + 32u];
  let mean_10 = row_mean[(lane / 2u) + 32u];
  let sub_9 = tokens_v_3.y - mean_10;
  let inverse_deviation_6 = row_inverse_deviation[(lane / 2u) + 32u];
  let mean_11 = row_mean[(lane / 2u) + 32u];
  let sub_10 = tokens_v_3.z - mean_11;
  let inverse_deviation_7 = row_inverse_deviation[(lane / 2u) + 32u];
  let mean_12 = row_mean[(lane / 2u) + 32u];
  let sub_11 = tokens_v_3.w - mean_12;
  let inverse_deviation_8 = row_inverse_deviation[(lane / 2u) + 32u];
  let next_1 = vec4f(((sub_8 * inverse_deviation_5) * (scaleA_v.x + 1.0)) + shiftA_v.x, ((sub_9 * inverse_deviation_6) * (scaleA_v.y + 1.0)) + shiftA_v.y, ((sub_10 * inverse_deviation_7) * (scaleA_v.z + 1.0)) + shiftA_v.z, ((sub_11 * inverse_deviation_8) * (scaleA_v.w + 1.0)) + shiftA_v.w);
  let qkv_weight_v = qkv_weight[group.x * 18432u + (lane / 2u) * 288u + (lane % 2u)];
  let qkv_weight_v_1 = qkv_weight[group.x * 18432u + (lane / 2u) * 288u + (lane % 2u) + 9216u];
  left_tile[(lane / 2u) * 3u + (lane % 2u)] = next;
  left_tile[(lane / 2u) * 3u + (lane % 2u) + 96u] = next_1;
  right_tile[(lane / 2u) * 3u + (lane % 2u)] = qkv_weight_v;
  right_tile[(lane / 2u) * 3u + (lane % 2u) + 96u] = qkv_weight_v_1;
  workgroupBarrier();
  let base_1 = group.y * 18432u + (lane / 2u) * 288u + (lane % 2u);
  let base_2 = lane % 2u;
  let base_3 = group.x * 18432u + (lane / 2u) * 288u + base_2;
  let base_4 = (lane / 8u) * 3u;
  let base_5 = (lane % 8u) * 3u;
  for (var t = 0u; t < 144u; t++) {
    let tile = min(t + 1u, 143u);
    let tokens_v_4 = tokens[base_1 + tile * 2u];
    let mean_13 = row_mean[lane / 2u];
    let sub_12 = tokens_v_4.x - mean_13;
    let inverse_deviation_9 = row_inverse_deviation[lane / 2u];
    let scaleA_v_1 = scaleA[base_2 + tile * 2u];
    let shiftA_v_1 = shiftA[base_2 + tile * 2u];
    let mean_14 = row_mean[lane / 2u];
    let sub_13 = tokens_v_4.y - mean_14;
    let inverse_deviation_10 = row_inverse_deviation[lane / 2u];
    let mean_15 = row_mean[lane / 2u];
    let sub_14 = tokens_v_4.z - mean_15;
    let inverse_deviation_11 = row_inverse_deviation[lane / 2u];
    let mean_16 = row_mean[lane / 2u];
    let sub_15 = tokens_v_4.w - mean_16;
    let inverse_deviation_12 = row_inverse_deviation[lane / 2u];
    let next_2 = vec4f(((sub_12 * inverse_deviation_9) * (scaleA_v_1.x + 1.0)) + shiftA_v_1.x, ((sub_13 * inverse_deviation_10) * (scaleA_v_1.y + 1.0)) + shiftA_v_1.y, ((sub_14 * inverse_deviation_11) * (scaleA_v_1.z + 1.0)) + shiftA_v_1.z, ((sub_15 * inverse_deviation_12) * (scaleA_v_1.w + 1.0)) + shiftA_v_1.w);
    let tokens_v_5 = tokens[base_1 + tile * 2u + 9216u];
    let mean_17 = row_mean[(lane / 2u) + 32u];
    let sub_16 = tokens_v_5.x - mean_17;
    let inverse_deviation_13 = row_inverse_deviation[(lane / 2u) + 32u];
    let mean_18 = row_mean[(lane / 2u) + 32u];
    let sub_17 = tokens_v_5.y - mean_18;
    let inverse_deviation_14 = row_inverse_deviation[(lane / 2u) + 32u];
    let mean_19 = row_mean[(lane / 2u) + 32u];
    let sub_18 = tokens_v_5.z - mean_19;
    let inverse_deviation_15 = row_inverse_deviation[(lane / 2u) + 32u];
    let mean_20 = row_mean[(lane / 2u) + 32u];
    let sub_19 = tokens_v_5.w - mean_20;
    let inverse_deviation_16 = row_inverse_deviation[(lane / 2u) + 32u];
    let next_3 = vec4f(((sub_16 * inverse_deviation_13) * (scaleA_v_1.x + 1.0)) + shiftA_v_1.x, ((sub_17 * inverse_deviation_14) * (scaleA_v_1.y + 1.0)) + shiftA_v_1.y, ((sub_18 * inverse_deviation_15) * (scaleA_v_1.z + 1.0)) + shiftA_v_1.z, ((sub_19 * inverse_deviation_16) * (scaleA_v_1.w + 1.0)) + shiftA_v_1.w);
    let qkv_weight_v_2 = qkv_weight[base_3 + tile * 2u];
    let qkv_weight_v_3 = qkv_weight[base_3 + tile * 2u + 9216u];
    for (var four = 0u; four < 2u; four++) {
      let a_0_0 = left_tile[base_4 + four];
      let a_0_1 = left_tile[base_4 + four + 24u];
      let a_0_2 = left_tile[base_4 + four + 48u];
      let a_0_3 = left_tile[base_4 + four + 72u];
      let a_1_0 = left_tile[base_4 + four + 96u];
      let a_1_1 = left_tile[base_4 + four + 120u];
      let a_1_2 = left_tile[base_4 + four + 144u];
      let a_1_3 = left_tile[base_4 + four + 168u];
      let w_0_0 = right_tile[base_5 + four];
      let w_0_1 = right_tile[base_5 + four + 24u];
      let w_0_2 = right_tile[base_5 + four + 48u];
      let w_0_3 = right_tile[base_5 + four + 72u];
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
      let w_1_0 = right_tile[base_5 + four + 96u];
      let w_1_1 = right_tile[base_5 + four + 120u];
      let w_1_2 = right_tile[base_5 + four + 144u];
      let w_1_3 = right_tile[base_5 + four + 168u];
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
    left_tile[(lane / 2u) * 3u + base_2] = next_2;
    left_tile[(lane / 2u) * 3u + base_2 + 96u] = next_3;
    right_tile[(lane / 2u) * 3u + base_2] = qkv_weight_v_2;
    right_tile[(lane / 2u) * 3u + base_2 + 96u] = qkv_weight_v_3;
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
  let base_9 = group.x * 8u;
  let base_11 = group.x * 64u + (lane % 8u);
  let base_13 = group.y * 4608u + (lane / 8u) * 72u + (lane % 8u);
  for (var rows = 0u; rows < 2u; rows++) {
    let base_6 = rows * 32u;
    let base_14 = base_13 + rows * 2304u;
    for (var r = 0u; r < 4u; r++) {
      let base_7 = base_6 + r * 8u;
      let base_15 = base_14 + r * 576u;
      for (var columns = 0u; columns < 2u; columns++) {
        let base_8 = base_7 + columns * 4u;
        let base_10 = base_9 + columns * 4u;
        let base_12 = base_11 + columns * 32u;
        for (var c = 0u; c < 4u; c++) {
          let product = tile_1[base_8 + c];
          let i = base_10 + c;
          let qkv_bias_v = qkv_bias[base_12 + c * 8u];
          qkv[base_15 + (i / 9u) * 18432u + (i % 9u) * 8u] = product + qkv_bias_v;
        }
      }
    }
  }
}
