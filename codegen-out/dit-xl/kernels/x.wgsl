// x — linear → mul → add
//   28 uses: blocks.*.attn.proj
//   reads  gateA f32[1,1,1152] · attention f32[256,1152] · proj_weight f32[1152,1152] · proj_bias f32[1152] · tokens f32[1,256,1152]
//   writes x f32[1,256,1152], in place of tokens
//   cost   340 MMAC · 8.86 MB · plan: workgroup tile 64×64, 4×4 per invocation
//   source models/dit-blocks.ts:58 linear · :131 mul · :131 add

@group(0) @binding(0) var<storage, read> gateA: array<f32, 1152>;
@group(0) @binding(1) var<storage, read> attention: array<f32, 294912>;
@group(0) @binding(2) var<storage, read> proj_weight: array<f32, 1327104>;
@group(0) @binding(3) var<storage, read> proj_bias: array<f32, 1152>;
@group(0) @binding(4) var<storage, read_write> x: array<f32, 294912>;
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
  let attention_base = group.y * 73728u;
  let proj_weight_base = group.x * 73728u;
  let left_tile_base = (lane / 16u) * 4u;
  let right_tile_base = (lane % 16u) * 4u;
  for (var t = 0u; t < 72u; t++) {
    let attention_base_1 = attention_base + t * 16u;
    for (var s = 0u; s < 4u; s++) {
      let e = lane + s * 256u;
      let attention_v = attention[attention_base_1 + (e / 16u) * 1152u + (e % 16u)];
      left_tile[(e / 16u) + (e % 16u) * 65u] = attention_v;
    }
    let proj_weight_base_1 = proj_weight_base + t * 16u;
    for (var s_1 = 0u; s_1 < 4u; s_1++) {
      let e_1 = lane + s_1 * 256u;
      let proj_weight_v = proj_weight[proj_weight_base_1 + (e_1 / 16u) * 1152u + (e_1 % 16u)];
      right_tile[(e_1 / 16u) + (e_1 % 16u) * 65u] = proj_weight_v;
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
  let x_base = group.x * 64u + attention_base + (lane / 16u) * 4608u + right_tile_base;
  let gateA_base = group.x * 64u + right_tile_base;
  for (var c = 0u; c < 4u; c++) {
    let x_base_1 = x_base + c;
    let gateA_v = gateA[gateA_base + c];
    let proj_bias_v = proj_bias[gateA_base + c];
    for (var r = 0u; r < 4u; r++) {
      let product = tile[r * 4u + c];
      let x_v = x[x_base_1 + r * 1152u];
      let proj = product + proj_bias_v;
      x[x_base_1 + r * 1152u] = x_v + (gateA_v * proj);
    }
  }
}
