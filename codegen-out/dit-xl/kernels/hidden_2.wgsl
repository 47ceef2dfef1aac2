// hidden_2 — linear → silu
//   1 use: t_embedder.mlp.*
//   reads  table f32[500,256] · mlp_0_weight f32[1152,256] · mlp_0_bias f32[1152]
//   writes hidden f32[500,1152]
//   cost   147 MMAC · 4.00 MB · plan: workgroup tile 64×64, 4×4 per invocation
//   source models/dit.ts:60 linear · :60 silu

@group(0) @binding(0) var<storage, read> table: array<f32, 128000>;
@group(0) @binding(1) var<storage, read> mlp_0_weight: array<f32, 294912>;
@group(0) @binding(2) var<storage, read> mlp_0_bias: array<f32, 1152>;
@group(0) @binding(3) var<storage, read_write> hidden: array<f32, 576000>;
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
  let mlp_0_weight_base = group.x * 16384u;
  let left_tile_base = (lane / 16u) * 4u;
  let right_tile_base = (lane % 16u) * 4u;
  for (var t = 0u; t < 16u; t++) {
    let table_base = t * 16u;
    for (var s = 0u; s < 4u; s++) {
      let e = lane + s * 256u;
      let row = min(base + (e / 16u), 499u);
      let table_v = table[table_base + (e % 16u) + row * 256u];
      left_tile[(e / 16u) + (e % 16u) * 65u] = table_v;
    }
    let mlp_0_weight_base_1 = mlp_0_weight_base + table_base;
    for (var s_1 = 0u; s_1 < 4u; s_1++) {
      let e_1 = lane + s_1 * 256u;
      let mlp_0_weight_v = mlp_0_weight[mlp_0_weight_base_1 + (e_1 / 16u) * 256u + (e_1 % 16u)];
      right_tile[(e_1 / 16u) + (e_1 % 16u) * 65u] = mlp_0_weight_v;
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
  let mlp_0_bias_base = group.x * 64u + right_tile_base;
  for (var c = 0u; c < 4u; c++) {
    let mlp_0_bias_v = mlp_0_bias[mlp_0_bias_base + c];
    let hidden_base = mlp_0_bias_base + c;
    for (var r = 0u; r < 4u; r++) {
      let product = tile[r * 4u + c];
      let row_1 = min(base_6 + r, 499u);
      let mlp = product + mlp_0_bias_v;
      if ((base_6 + r) < 500u) {
        hidden[hidden_base + row_1 * 1152u] = silu(mlp);
      }
    }
  }
}
