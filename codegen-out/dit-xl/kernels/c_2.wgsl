// c_2 — linear → gather → add → silu
//   1 use: t_embedder.mlp.*
//   reads  hidden f32[500,1152] · mlp_2_weight f32[1152,1152] · mlp_2_bias f32[1152] · embedding_table_weight f32[1001,1152] · y i32[1]
//   writes c f32[500,1152]
//   cost   664 MMAC · 9.93 MB · plan: workgroup tile 64×64, 4×4 per invocation
//   source models/dit.ts:61 linear · :102 add · :103 silu

@group(0) @binding(0) var<storage, read> hidden: array<f32, 576000>;
@group(0) @binding(1) var<storage, read> mlp_2_weight: array<f32, 1327104>;
@group(0) @binding(2) var<storage, read> mlp_2_bias: array<f32, 1152>;
@group(0) @binding(3) var<storage, read> embedding_table_weight: array<f32, 1153152>;
@group(0) @binding(4) var<storage, read> y: array<i32, 1>;
@group(0) @binding(5) var<storage, read_write> c: array<f32, 576000>;
var<workgroup> left_tile: array<f32, 1040>;
var<workgroup> right_tile: array<f32, 1040>;
fn silu(x: f32) -> f32 {
  return x / (1.0 + exp(-x));
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
  let base = group.y * 64u;
  let mlp_2_weight_base = group.x * 73728u;
  let left_tile_base = (lane / 16u) * 4u;
  let right_tile_base = (lane % 16u) * 4u;
  for (var t = 0u; t < 72u; t++) {
    let hidden_base = t * 16u;
    for (var s = 0u; s < 4u; s++) {
      let e = lane + s * 256u;
      let row = min(base + (e / 16u), 499u);
      let hidden_v = hidden[hidden_base + (e % 16u) + row * 1152u];
      left_tile[(e / 16u) + (e % 16u) * 65u] = hidden_v;
    }
    let mlp_2_weight_base_1 = mlp_2_weight_base + hidden_base;
    for (var s_1 = 0u; s_1 < 4u; s_1++) {
      let e_1 = lane + s_1 * 256u;
      let mlp_2_weight_v = mlp_2_weight[mlp_2_weight_base_1 + (e_1 / 16u) * 1152u + (e_1 % 16u)];
      right_tile[(e_1 / 16u) + (e_1 % 16u) * 65u] = mlp_2_weight_v;
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
  let base_6 = base + left_tile_base;
  let mlp_2_bias_base = group.x * 64u + right_tile_base;
  let y_v = y[0u];
  for (var c_1 = 0u; c_1 < 4u; c_1++) {
    let mlp_2_bias_v = mlp_2_bias[mlp_2_bias_base + c_1];
    let embedding_table_weight_base = mlp_2_bias_base + c_1;
    for (var r = 0u; r < 4u; r++) {
      let product = tile[r * 4u + c_1];
      let row_1 = min(base_6 + r, 499u);
      let mlp = product + mlp_2_bias_v;
      let inside = (row_1 % 2u) >= 1u;
      let concat = select(y_v, 1000i, inside);
      let row_2 = min(u32(max(concat, 0i)), 1000u);
      let embedding_table_weight_v = embedding_table_weight[embedding_table_weight_base + row_2 * 1152u];
      let sum = mlp + embedding_table_weight_v;
      if ((base_6 + r) < 500u) {
        c[embedding_table_weight_base + row_1 * 1152u] = silu(sum);
      }
    }
  }
}
