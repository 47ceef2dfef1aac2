// tokens_2 — linear → mul → add
//   28 uses: blocks.*.mlp.fc2
//   reads  gateM f32[1,1,1152] · gelu f32[256,4608] · fc2_weight f32[1152,4608] · fc2_bias f32[1152] · x f32[1,256,1152]
//   writes tokens f32[1,256,1152], in place of x
//   cost   1.36 GMAC · 28.3 MB · plan: workgroup tile 64×64, 4×4 per invocation
//   source models/dit-blocks.ts:91 linear · :135 mul · :135 add

@group(0) @binding(0) var<storage, read> gateM: array<f32, 1152>;
@group(0) @binding(1) var<storage, read> gelu_1: array<f32, 1179648>;
@group(0) @binding(2) var<storage, read> fc2_weight: array<f32, 5308416>;
@group(0) @binding(3) var<storage, read> fc2_bias: array<f32, 1152>;
@group(0) @binding(4) var<storage, read_write> tokens: array<f32, 294912>;
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
  let gelu_1_base = group.y * 294912u;
  let fc2_weight_base = group.x * 294912u;
  let left_tile_base = (lane / 16u) * 4u;
  let right_tile_base = (lane % 16u) * 4u;
  for (var t = 0u; t < 288u; t++) {
    let gelu_1_base_1 = gelu_1_base + t * 16u;
    for (var s = 0u; s < 4u; s++) {
      let e = lane + s * 256u;
      let gelu_1_v = gelu_1[gelu_1_base_1 + (e / 16u) * 4608u + (e % 16u)];
      left_tile[(e / 16u) + (e % 16u) * 65u] = gelu_1_v;
    }
    let fc2_weight_base_1 = fc2_weight_base + t * 16u;
    for (var s_1 = 0u; s_1 < 4u; s_1++) {
      let e_1 = lane + s_1 * 256u;
      let fc2_weight_v = fc2_weight[fc2_weight_base_1 + (e_1 / 16u) * 4608u + (e_1 % 16u)];
      right_tile[(e_1 / 16u) + (e_1 % 16u) * 65u] = fc2_weight_v;
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
  let tokens_base = group.x * 64u + group.y * 73728u + (lane / 16u) * 4608u + right_tile_base;
  let gateM_base = group.x * 64u + right_tile_base;
  for (var c = 0u; c < 4u; c++) {
    let tokens_base_1 = tokens_base + c;
    let gateM_v = gateM[gateM_base + c];
    let fc2_bias_v = fc2_bias[gateM_base + c];
    for (var r = 0u; r < 4u; r++) {
      let product = tile[r * 4u + c];
      let tokens_v = tokens[tokens_base_1 + r * 1152u];
      let fc2 = product + fc2_bias_v;
      tokens[tokens_base_1 + r * 1152u] = tokens_v + (gateM_v * fc2);
    }
  }
}
