// c — linear → gather → add → silu
//   1 use: t_embedder.mlp.*
//   reads  hidden f32[1,1152] · mlp_2_weight f32[1152,1152] · mlp_2_bias f32[1152] · embedding_table_weight f32[1001,1152] · y i32[1]
//   writes c f32[1,1152]
//   cost   1.33 MMAC · 5.33 MB · plan: 16 invocations per column along k
//   source models/dit.ts:61 linear · :102 add · :103 silu

@group(0) @binding(0) var<storage, read> hidden: array<f32, 1152>;
@group(0) @binding(1) var<storage, read> mlp_2_weight: array<f32, 1327104>;
@group(0) @binding(2) var<storage, read> mlp_2_bias: array<f32, 1152>;
@group(0) @binding(3) var<storage, read> embedding_table_weight: array<f32, 1153152>;
@group(0) @binding(4) var<storage, read> y: array<i32, 1>;
@group(0) @binding(5) var<storage, read_write> c: array<f32, 1152>;
var<workgroup> parts: array<f32, 64>;
fn silu(x: f32) -> f32 {
  return x / (1.0 + exp(-x));
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  var acc_0: f32 = 0.0;
  let mlp_2_weight_base = group.x * 4608u + (lane / 16u) * 1152u + (lane % 16u);
  let hidden_base = lane % 16u;
  for (var s = 0u; s < 72u; s++) {
    let mlp_2_weight_v = mlp_2_weight[mlp_2_weight_base + s * 16u];
    let hidden_v = hidden[hidden_base + s * 16u];
    acc_0 = fma(hidden_v, mlp_2_weight_v, acc_0);
  }
  parts[lane] = acc_0;
  workgroupBarrier();
  let mlp_2_bias_base = group.x * 4u;
  let y_v = y[0u];
  let row = min(u32(max(y_v, 0i)), 1000u);
  let embedding_table_weight_base = mlp_2_bias_base + row * 1152u;
  if (lane < 4u) {
    var sum: f32 = 0.0;
    let parts_base = lane * 16u;
    for (var p = 0u; p < 16u; p++) {
      sum += parts[parts_base + p];
    }
    let mlp_2_bias_v = mlp_2_bias[mlp_2_bias_base + lane];
    let mlp = sum + mlp_2_bias_v;
    let embedding_table_weight_v = embedding_table_weight[embedding_table_weight_base + lane];
    let sum_1 = mlp + embedding_table_weight_v;
    c[mlp_2_bias_base + lane] = silu(sum_1);
  }
}
