// linear — linear
//   8 uses in 2 sizes: final_layer.adaLN_modulation.*
//   reads  c f32[1,1152] · adaLN_modulation_1_weight_pack f32[27648,1152] · adaLN_modulation_1_bias_pack f32[27648]
//   writes linear f32[24,1,1152]
//   cost   31.9 MMAC · 128 MB · plan: 16 invocations per column along k
//   source models/dit-blocks.ts:115 linear

@group(0) @binding(0) var<storage, read> c: array<f32, 1152>;
@group(0) @binding(1) var<storage, read> adaLN_modulation_1_weight_pack: array<f32>;
@group(0) @binding(2) var<storage, read> adaLN_modulation_1_bias_pack: array<f32>;
@group(0) @binding(3) var<storage, read_write> linear: array<f32>;
var<workgroup> parts: array<f32, 64>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  var acc_0: f32 = 0.0;
  let adaLN_modulation_1_weight_pack_base = group.x * 4608u + (lane / 16u) * 1152u + (lane % 16u);
  let c_base = lane % 16u;
  for (var s = 0u; s < 72u; s++) {
    let adaLN_modulation_1_weight_pack_v = adaLN_modulation_1_weight_pack[adaLN_modulation_1_weight_pack_base + s * 16u];
    let c_v = c[c_base + s * 16u];
    acc_0 = fma(c_v, adaLN_modulation_1_weight_pack_v, acc_0);
  }
  parts[lane] = acc_0;
  workgroupBarrier();
  let adaLN_modulation_1_bias_pack_base = group.x * 4u;
  if (lane < 4u) {
    var sum: f32 = 0.0;
    let parts_base = lane * 16u;
    for (var p = 0u; p < 16u; p++) {
      sum += parts[parts_base + p];
    }
    let adaLN_modulation_1_bias_pack_v = adaLN_modulation_1_bias_pack[adaLN_modulation_1_bias_pack_base + lane];
    linear[adaLN_modulation_1_bias_pack_base + lane] = sum + adaLN_modulation_1_bias_pack_v;
  }
}
