// tokens_3 — linear → add
//   1 use: x_embedder.proj
//   reads  x f32[1,4,32,32] · proj_weight f32[1152,4,2,2] · proj_bias f32[1152] · pos_embed f32[1,256,1152]
//   writes tokens f32[2,256,1152]
//   cost   9.44 MMAC · 3.63 MB · plan: workgroup tile 64×64, 4×4 per invocation
//   source models/dit.ts:46 linear · :139 add

@group(0) @binding(0) var<storage, read> x: array<f32, 4096>;
@group(0) @binding(1) var<storage, read> proj_weight: array<f32, 18432>;
@group(0) @binding(2) var<storage, read> proj_bias: array<f32, 1152>;
@group(0) @binding(3) var<storage, read> pos_embed: array<f32, 294912>;
@group(0) @binding(4) var<storage, read_write> tokens: array<f32, 589824>;
var<workgroup> left_tile: array<f32, 1040>;
var<workgroup> right_tile: array<f32, 1040>;

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
  let x_base = (group.y % 4u) * 256u;
  for (var s = 0u; s < 4u; s++) {
    let e = lane + s * 256u;
    let i = e / 2u;
    let i_1 = i / 2u;
    let i_2 = i_1 / 4u;
    let x_v = x[x_base + (e % 2u) + (i % 2u) * 32u + (i_1 % 4u) * 1024u + (i_2 / 16u) * 64u + (i_2 % 16u) * 2u];
    left_tile[(e / 16u) + (e % 16u) * 65u] = x_v;
  }
  let proj_weight_base = group.x * 1024u;
  for (var s_1 = 0u; s_1 < 4u; s_1++) {
    let e_1 = lane + s_1 * 256u;
    let proj_weight_v = proj_weight[proj_weight_base + e_1];
    right_tile[(e_1 / 16u) + (e_1 % 16u) * 65u] = proj_weight_v;
  }
  workgroupBarrier();
  let left_tile_base = (lane / 16u) * 4u;
  let right_tile_base = (lane % 16u) * 4u;
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
  var tile = array<f32, 16>(
    acc_0_0, acc_0_1, acc_0_2, acc_0_3, acc_1_0, acc_1_1, acc_1_2, acc_1_3,
    acc_2_0, acc_2_1, acc_2_2, acc_2_3, acc_3_0, acc_3_1, acc_3_2, acc_3_3,
  );
  let proj_bias_base = group.x * 64u + right_tile_base;
  let pos_embed_base = group.x * 64u + (lane / 16u) * 4608u + right_tile_base + (group.y % 4u) * 73728u;
  let tokens_base = group.x * 64u + group.y * 73728u + (lane / 16u) * 4608u + right_tile_base;
  for (var c = 0u; c < 4u; c++) {
    let proj_bias_v = proj_bias[proj_bias_base + c];
    let pos_embed_base_1 = pos_embed_base + c;
    let tokens_base_1 = tokens_base + c;
    for (var r = 0u; r < 4u; r++) {
      let product = tile[r * 4u + c];
      let pos_embed_v = pos_embed[pos_embed_base_1 + r * 1152u];
      tokens[tokens_base_1 + r * 1152u] = (product + proj_bias_v) + pos_embed_v;
    }
  }
}
