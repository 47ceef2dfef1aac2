// tokens — linear → add
//   1 use: x_embedder.proj
//   reads  x f32[1,4,32,32] · proj_weight f32[1152,4,2,2] · proj_bias f32[1152] · pos_embed f32[1,256,1152]
//   writes tokens f32[1,256,1152]
//   cost   4.72 MMAC · 2.45 MB · plan: workgroup tile 64×64, 8×8 per invocation, in vectors
//   source models/dit.ts:188 linear · :238 add

@group(0) @binding(0) var<storage, read> x: array<f32, 4096>;
@group(0) @binding(1) var<storage, read> proj_weight: array<vec4f, 4608>;
@group(0) @binding(2) var<storage, read> proj_bias: array<f32, 1152>;
@group(0) @binding(3) var<storage, read> pos_embed: array<f32, 294912>;
@group(0) @binding(4) var<storage, read_write> tokens: array<f32, 294912>;
var<workgroup> left_tile: array<vec4f, 192>;
var<workgroup> right_tile: array<vec4f, 192>;

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
  let x_v = x[group.y * 256u + (lane % 2u) * 1024u + (i / 16u) * 64u + (i % 16u) * 2u];
  let x_v_1 = x[group.y * 256u + (lane % 2u) * 1024u + (i / 16u) * 64u + (i % 16u) * 2u + 1u];
  let x_v_2 = x[group.y * 256u + (lane % 2u) * 1024u + (i / 16u) * 64u + (i % 16u) * 2u + 32u];
  let x_v_3 = x[group.y * 256u + (lane % 2u) * 1024u + (i / 16u) * 64u + (i % 16u) * 2u + 33u];
  let next = vec4f(x_v, x_v_1, x_v_2, x_v_3);
  let x_v_4 = x[group.y * 256u + (lane % 2u) * 1024u + (i / 16u) * 64u + (i % 16u) * 2u + 128u];
  let x_v_5 = x[group.y * 256u + (lane % 2u) * 1024u + (i / 16u) * 64u + (i % 16u) * 2u + 129u];
  let x_v_6 = x[group.y * 256u + (lane % 2u) * 1024u + (i / 16u) * 64u + (i % 16u) * 2u + 160u];
  let x_v_7 = x[group.y * 256u + (lane % 2u) * 1024u + (i / 16u) * 64u + (i % 16u) * 2u + 161u];
  let next_1 = vec4f(x_v_4, x_v_5, x_v_6, x_v_7);
  let proj_weight_v = proj_weight[group.x * 256u + i * 4u + (lane % 2u)];
  let proj_weight_v_1 = proj_weight[group.x * 256u + i * 4u + (lane % 2u) + 128u];
  left_tile[i * 3u + (lane % 2u)] = next;
  left_tile[i * 3u + (lane % 2u) + 96u] = next_1;
  right_tile[i * 3u + (lane % 2u)] = proj_weight_v;
  right_tile[i * 3u + (lane % 2u) + 96u] = proj_weight_v_1;
  workgroupBarrier();
  let base = group.y * 256u + (lane % 2u) * 1024u + (i / 16u) * 64u + (i % 16u) * 2u;
  let base_1 = group.x * 256u + i * 4u + (lane % 2u);
  let base_2 = (lane / 8u) * 3u;
  let base_3 = (lane % 8u) * 3u;
  let x_v_8 = x[base + 2048u];
  let x_v_9 = x[base + 2048u + 1u];
  let x_v_10 = x[base + 2048u + 32u];
  let x_v_11 = x[base + 2048u + 33u];
  let next_2 = vec4f(x_v_8, x_v_9, x_v_10, x_v_11);
  let x_v_12 = x[base + 2048u + 128u];
  let x_v_13 = x[base + 2048u + 129u];
  let x_v_14 = x[base + 2048u + 160u];
  let x_v_15 = x[base + 2048u + 161u];
  let next_3 = vec4f(x_v_12, x_v_13, x_v_14, x_v_15);
  let proj_weight_v_2 = proj_weight[base_1 + 2u];
  let proj_weight_v_3 = proj_weight[base_1 + 2u + 128u];
  for (var t = 0u; t < 2u; t++) {
    for (var four = 0u; four < 2u; four++) {
      let a_0_0 = left_tile[base_2 + four];
      let a_0_1 = left_tile[base_2 + four + 24u];
      let a_0_2 = left_tile[base_2 + four + 48u];
      let a_0_3 = left_tile[base_2 + four + 72u];
      let a_1_0 = left_tile[base_2 + four + 96u];
      let a_1_1 = left_tile[base_2 + four + 120u];
      let a_1_2 = left_tile[base_2 + four + 144u];
      let a_1_3 = left_tile[base_2 + four + 168u];
      let w_0_0 = right_tile[base_3 + four];
      let w_0_1 = right_tile[base_3 + four + 24u];
      let w_0_2 = right_tile[base_3 + four + 48u];
      let w_0_3 = right_tile[base_3 + four + 72u];
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
      let w_1_0 = right_tile[base_3 + four + 96u];
      let w_1_1 = right_tile[base_3 + four + 120u];
      let w_1_2 = right_tile[base_3 + four + 144u];
      let w_1_3 = right_tile[base_3 + four + 168u];
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
    left_tile[i * 3u + (lane % 2u)] = next_2;
    left_tile[i * 3u + (lane % 2u) + 96u] = next_3;
    right_tile[i * 3u + (lane % 2u)] = proj_weight_v_2;
    right_tile[i * 3u + (lane % 2u) + 96u] = proj_weight_v_3;
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
  let base_7 = group.x * 64u + (lane % 8u);
  let base_9 = group.x * 64u + group.y * 73728u + (lane / 8u) * 1152u + (lane % 8u);
  for (var rows = 0u; rows < 2u; rows++) {
    let base_4 = rows * 32u;
    let base_10 = base_9 + rows * 36864u;
    for (var r = 0u; r < 4u; r++) {
      let base_5 = base_4 + r * 8u;
      let base_11 = base_10 + r * 9216u;
      for (var columns = 0u; columns < 2u; columns++) {
        let base_6 = base_5 + columns * 4u;
        let base_8 = base_7 + columns * 32u;
        let base_12 = base_11 + columns * 32u;
        for (var c = 0u; c < 4u; c++) {
          let product = tile_1[base_6 + c];
          let proj_bias_v = proj_bias[base_8 + c * 8u];
          let pos_embed_v = pos_embed[base_12 + c * 8u];
          tokens[base_12 + c * 8u] = (product + proj_bias_v) + pos_embed_v;
        }
      }
    }
  }
}
