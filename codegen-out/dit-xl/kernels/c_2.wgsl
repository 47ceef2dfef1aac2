// c_2 — linear → gather → add → silu
//   1 use: t_embedder.mlp.*
//   reads  hidden f32[500,1152] · mlp_2_weight f32[1152,1152] · mlp_2_bias f32[1152] · embedding_table_weight f32[1001,1152] · y i32[1]
//   writes c f32[500,1152]
//   cost   664 MMAC · 9.93 MB · plan: workgroup tile 64×64, 8×8 per invocation, in vectors
//   source models/dit.ts:203 linear · :232 add · :232 silu

@group(0) @binding(0) var<storage, read> hidden: array<vec4f, 144000>;
@group(0) @binding(1) var<storage, read> mlp_2_weight: array<vec4f, 331776>;
@group(0) @binding(2) var<storage, read> mlp_2_bias: array<f32, 1152>;
@group(0) @binding(3) var<storage, read> embedding_table_weight: array<f32, 1153152>;
@group(0) @binding(4) var<storage, read> y: array<i32, 1>;
@group(0) @binding(5) var<storage, read_write> c: array<f32, 576000>;
var<workgroup> left_tile: array<vec4f, 192>;
var<workgroup> right_tile: array<vec4f, 192>;
fn silu(x: f32) -> f32 {
  return x / (1.0 + exp(-x));
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
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
  let hidden_v = hidden[group.y * 18432u + (lane / 2u) * 288u + (lane % 2u)];
  let at = min(group.y * 64u + (lane / 2u) + 32u, 499u);
  let hidden_v_1 = hidden[(lane % 2u) + at * 288u];
  let mlp_2_weight_v = mlp_2_weight[group.x * 18432u + (lane / 2u) * 288u + (lane % 2u)];
  let mlp_2_weight_v_1 = mlp_2_weight[group.x * 18432u + (lane / 2u) * 288u + (lane % 2u) + 9216u];
  left_tile[(lane / 2u) * 3u + (lane % 2u)] = hidden_v;
  left_tile[(lane / 2u) * 3u + (lane % 2u) + 96u] = hidden_v_1;
  right_tile[(lane / 2u) * 3u + (lane % 2u)] = mlp_2_weight_v;
  right_tile[(lane / 2u) * 3u + (lane % 2u) + 96u] = mlp_2_weight_v_1;
  workgroupBarrier();
  let base = group.y * 18432u + (lane / 2u) * 288u + (lane % 2u);
  let base_1 = (lane % 2u) + at * 288u;
  let base_2 = group.x * 18432u + (lane / 2u) * 288u + (lane % 2u);
  let base_3 = (lane / 8u) * 3u;
  let base_4 = (lane % 8u) * 3u;
  for (var t = 0u; t < 144u; t++) {
    let tile = min(t + 1u, 143u);
    let hidden_v_2 = hidden[base + tile * 2u];
    let hidden_v_3 = hidden[base_1 + tile * 2u];
    let mlp_2_weight_v_2 = mlp_2_weight[base_2 + tile * 2u];
    let mlp_2_weight_v_3 = mlp_2_weight[base_2 + tile * 2u + 9216u];
    for (var four = 0u; four < 2u; four++) {
      let a_0_0 = left_tile[base_3 + four];
      let a_0_1 = left_tile[base_3 + four + 24u];
      let a_0_2 = left_tile[base_3 + four + 48u];
      let a_0_3 = left_tile[base_3 + four + 72u];
      let a_1_0 = left_tile[base_3 + four + 96u];
      let a_1_1 = left_tile[base_3 + four + 120u];
      let a_1_2 = left_tile[base_3 + four + 144u];
      let a_1_3 = left_tile[base_3 + four + 168u];
      let w_0_0 = right_tile[base_4 + four];
      let w_0_1 = right_tile[base_4 + four + 24u];
      let w_0_2 = right_tile[base_4 + four + 48u];
      let w_0_3 = right_tile[base_4 + four + 72u];
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
      let w_1_0 = right_tile[base_4 + four + 96u];
      let w_1_1 = right_tile[base_4 + four + 120u];
      let w_1_2 = right_tile[base_4 + four + 144u];
      let w_1_3 = right_tile[base_4 + four + 168u];
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
    left_tile[(lane / 2u) * 3u + (lane % 2u)] = hidden_v_2;
    left_tile[(lane / 2u) * 3u + (lane % 2u) + 96u] = hidden_v_3;
    right_tile[(lane / 2u) * 3u + (lane % 2u)] = mlp_2_weight_v_2;
    right_tile[(lane / 2u) * 3u + (lane % 2u) + 96u] = mlp_2_weight_v_3;
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
  let base_8 = group.y * 64u + (lane / 8u);
  let base_10 = group.x * 64u + (lane % 8u);
  let y_v = y[0u];
  for (var rows = 0u; rows < 2u; rows++) {
    let base_5 = rows * 32u;
    let base_9 = base_8 + base_5;
    for (var r = 0u; r < 4u; r++) {
      let base_6 = base_5 + r * 8u;
      let row = min(base_9 + r * 8u, 499u);
      let inside = (row % 2u) >= 1u;
      let concat = select(y_v, 1000i, inside);
      let row_1 = min(u32(max(concat, 0i)), 1000u);
      let base_12 = base_10 + row_1 * 1152u;
      let base_14 = base_10 + row * 1152u;
      for (var columns = 0u; columns < 2u; columns++) {
        let base_7 = base_6 + columns * 4u;
        let base_11 = base_10 + columns * 32u;
        let base_13 = base_12 + columns * 32u;
        let base_15 = base_14 + columns * 32u;
        for (var c_1 = 0u; c_1 < 4u; c_1++) {
          let product = tile_1[base_7 + c_1];
          let mlp_2_bias_v = mlp_2_bias[base_11 + c_1 * 8u];
          let mlp = product + mlp_2_bias_v;
          let embedding_table_weight_v = embedding_table_weight[base_13 + c_1 * 8u];
          let add = mlp + embedding_table_weight_v;
          if ((base_9 + r * 8u) < 500u) {
            c[base_15 + c_1 * 8u] = silu(add);
          }
        }
      }
    }
  }
}
