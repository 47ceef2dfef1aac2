// hidden_2 — linear → silu
//   1 use: t_embedder.mlp.*
//   reads  waves f32[250,1,256] · mlp_0_weight f32[1152,256] · mlp_0_bias f32[1152]
//   writes hidden f32[500,1152]
//   cost   147 MMAC · 3.74 MB · plan: workgroup tile 64×64, 8×8 per invocation, in vectors
//   source models/dit.ts:202 linear · :202 silu

@group(0) @binding(0) var<storage, read> waves: array<vec4f, 16000>;
@group(0) @binding(1) var<storage, read> mlp_0_weight: array<vec4f, 73728>;
@group(0) @binding(2) var<storage, read> mlp_0_bias: array<f32, 1152>;
@group(0) @binding(3) var<storage, read_write> hidden: array<f32, 576000>;
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
  let i = lane / 2u;
  let waves_v = waves[group.y * 2048u + (lane % 2u) + (i / 2u) * 64u];
  let at = min(group.y * 64u + i + 32u, 499u);
  let waves_v_1 = waves[(lane % 2u) + (at / 2u) * 64u];
  let mlp_0_weight_v = mlp_0_weight[group.x * 4096u + i * 64u + (lane % 2u)];
  let mlp_0_weight_v_1 = mlp_0_weight[group.x * 4096u + i * 64u + (lane % 2u) + 2048u];
  left_tile[i * 3u + (lane % 2u)] = waves_v;
  left_tile[i * 3u + (lane % 2u) + 96u] = waves_v_1;
  right_tile[i * 3u + (lane % 2u)] = mlp_0_weight_v;
  right_tile[i * 3u + (lane % 2u) + 96u] = mlp_0_weight_v_1;
  workgroupBarrier();
  let base = group.y * 2048u + (lane % 2u) + (i / 2u) * 64u;
  let base_1 = (lane % 2u) + (at / 2u) * 64u;
  let base_2 = group.x * 4096u + i * 64u + (lane % 2u);
  let base_3 = (lane / 8u) * 3u;
  let base_4 = (lane % 8u) * 3u;
  for (var t = 0u; t < 32u; t++) {
    let tile = min(t + 1u, 31u);
    let waves_v_2 = waves[base + tile * 2u];
    let waves_v_3 = waves[base_1 + tile * 2u];
    let mlp_0_weight_v_2 = mlp_0_weight[base_2 + tile * 2u];
    let mlp_0_weight_v_3 = mlp_0_weight[base_2 + tile * 2u + 2048u];
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
    left_tile[i * 3u + (lane % 2u)] = waves_v_2;
    left_tile[i * 3u + (lane % 2u) + 96u] = waves_v_3;
    right_tile[i * 3u + (lane % 2u)] = mlp_0_weight_v_2;
    right_tile[i * 3u + (lane % 2u) + 96u] = mlp_0_weight_v_3;
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
  for (var rows = 0u; rows < 2u; rows++) {
    let base_5 = rows * 32u;
    let base_9 = base_8 + base_5;
    for (var r = 0u; r < 4u; r++) {
      let base_6 = base_5 + r * 8u;
      let row = min(base_9 + r * 8u, 499u);
      let base_12 = base_10 + row * 1152u;
      for (var columns = 0u; columns < 2u; columns++) {
        let base_7 = base_6 + columns * 4u;
        let base_11 = base_10 + columns * 32u;
        let base_13 = base_12 + columns * 32u;
        for (var c = 0u; c < 4u; c++) {
          let product = tile_1[base_7 + c];
          let mlp_0_bias_v = mlp_0_bias[base_11 + c * 8u];
          let mlp = product + mlp_0_bias_v;
          if ((base_9 + r * 8u) < 500u) {
            hidden[base_13 + c * 8u] = silu(mlp);
          }
        }
      }
    }
  }
}
