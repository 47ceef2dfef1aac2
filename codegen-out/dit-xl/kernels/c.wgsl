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
  let base = group.x * 4608u + (lane / 16u) * 1152u + (lane % 16u);
  let base_1 = lane % 16u;
  for (var s = 0u; s < 72u; s++) {
    let mlp_2_weight_v = mlp_2_weight[base + s * 16u];
    let hidden_v = hidden[base_1 + s * 16u];
    acc_0 = fma(hidden_v, mlp_2_weight_v, acc_0);
  }
  parts[lane] = acc_0;
  workgroupBarrier();
  let base_3 = group.x * 4u;
  let y_v = y[0u];
  let row = min(u32(max(y_v, 0i)), 1000u);
  let base_4 = base_3 + row * 1152u;
  if (lane < 4u) {
    var sum: f32 = 0.0;
    let base_2 = lane * 16u;
    for (var p = 0u; p < 16u; p++) {
      sum += parts[base_2 + p];
    }
    let mlp_2_bias_v = mlp_2_bias[base_3 + lane];
    let mlp = sum + mlp_2_bias_v;
    let embedding_table_weight_v = embedding_table_weight[base_4 + lane];
    let sum_1 = mlp + embedding_table_weight_v;
    c[base_3 + lane] = silu(sum_1);
  }
}
