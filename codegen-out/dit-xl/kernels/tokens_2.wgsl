// tokens_2 — linear → mul → add
//   28 uses: blocks.*.mlp.fc2
//   reads  gateM f32[1,1,1152] · gelu f32[256,4608] · fc2_weight f32[1152,4608] · fc2_bias f32[1152] · x f32[1,256,1152]
//   writes tokens f32[1,256,1152], in place of x
//   cost   1.36 GMAC · 28.3 MB · plan: workgroup tile 64×64, 8×8 per invocation, in vectors
//   source models/dit.ts:122 linear · :146 mul · :146 add

@group(0) @binding(0) var<storage, read> gateM: array<f32, 1152>;
@group(0) @binding(1) var<storage, read> gelu_1: array<vec4f, 294912>;
@group(0) @binding(2) var<storage, read> fc2_weight: array<vec4f, 1327104>;
@group(0) @binding(3) var<storage, read> fc2_bias: array<f32, 1152>;
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
  let gelu_1_v = gelu_1[group.y * 73728u + (lane / 2u) * 1152u + (lane % 2u)];
  let gelu_1_v_1 = gelu_1[group.y * 73728u + (lane / 2u) * 1152u + (lane % 2u) + 36864u];
  let fc2_weight_v = fc2_weight[group.x * 73728u + (lane / 2u) * 1152u + (lane % 2u)];
  let fc2_weight_v_1 = fc2_weight[group.x * 73728u + (lane / 2u) * 1152u + (lane % 2u) + 36864u];
  left_tile[(lane / 2u) * 3u + (lane % 2u)] = gelu_1_v;
  left_tile[(lane / 2u) * 3u + (lane % 2u) + 96u] = gelu_1_v_1;
  right_tile[(lane / 2u) * 3u + (lane % 2u)] = fc2_weight_v;
  right_tile[(lane / 2u) * 3u + (lane % 2u) + 96u] = fc2_weight_v_1;
  workgroupBarrier();
  let base = group.y * 73728u + (lane / 2u) * 1152u + (lane % 2u);
  let base_1 = group.x * 73728u + (lane / 2u) * 1152u + (lane % 2u);
  let base_2 = (lane / 8u) * 3u;
  let base_3 = (lane % 8u) * 3u;
  for (var t = 0u; t < 576u; t++) {
    let tile = min(t + 1u, 575u);
    let gelu_1_v_2 = gelu_1[base + tile * 2u];
    let gelu_1_v_3 = gelu_1[base + tile * 2u + 36864u];
    let fc2_weight_v_2 = fc2_weight[base_1 + tile * 2u];
    let fc2_weight_v_3 = fc2_weight[base_1 + tile * 2u + 36864u];
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
    left_tile[(lane / 2u) * 3u + (lane % 2u)] = gelu_1_v_2;
    left_tile[(lane / 2u) * 3u + (lane % 2u) + 96u] = gelu_1_v_3;
    right_tile[(lane / 2u) * 3u + (lane % 2u)] = fc2_weight_v_2;
    right_tile[(lane / 2u) * 3u + (lane % 2u) + 96u] = fc2_weight_v_3;
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
  let base_7 = group.x * 64u + group.y * 73728u + (lane / 8u) * 1152u + (lane % 8u);
  let base_11 = group.x * 64u + (lane % 8u);
  for (var rows = 0u; rows < 2u; rows++) {
    let base_4 = rows * 32u;
    let base_8 = base_7 + rows * 36864u;
    for (var r = 0u; r < 4u; r++) {
      let base_5 = base_4 + r * 8u;
      let base_9 = base_8 + r * 9216u;
      for (var columns = 0u; columns < 2u; columns++) {
        let base_6 = base_5 + columns * 4u;
        let base_10 = base_9 + columns * 32u;
        let base_12 = base_11 + columns * 32u;
        for (var c = 0u; c < 4u; c++) {
          let product = tile_1[base_6 + c];
          let tokens_v = tokens[base_10 + c * 8u];
          let gateM_v = gateM[base_12 + c * 8u];
          let fc2_bias_v = fc2_bias[base_12 + c * 8u];
          let fc2 = product + fc2_bias_v;
          tokens[base_10 + c * 8u] = tokens_v + (gateM_v * fc2);
        }
      }
    }
  }
}
