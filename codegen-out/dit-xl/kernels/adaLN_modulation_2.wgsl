// adaLN_modulation_2 — linear
//   1 use: final_layer.adaLN_modulation.*
//   reads  c f32[2,1152] · adaLN_modulation_1_weight f32[2304,1152] · adaLN_modulation_1_bias f32[2304]
//   writes adaLN_modulation f32[2,2304]
//   cost   5.31 MMAC · 10.7 MB · plan: 16 invocations per column along k
//   source models/dit.ts:122 linear

@group(0) @binding(0) var<storage, read> c: array<f32, 2304>;
@group(0) @binding(1) var<storage, read> adaLN_modulation_1_weight: array<f32, 2654208>;
@group(0) @binding(2) var<storage, read> adaLN_modulation_1_bias: array<f32, 2304>;
@group(0) @binding(3) var<storage, read_write> adaLN_modulation: array<f32, 4608>;
var<workgroup> parts: array<f32, 128>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  var acc_0: f32 = 0.0;
  var acc_1: f32 = 0.0;
  let base = group.x * 4608u + (lane / 16u) * 1152u + (lane % 16u);
  let base_1 = lane % 16u;
  for (var s = 0u; s < 72u; s++) {
    let adaLN_modulation_1_weight_v = adaLN_modulation_1_weight[base + s * 16u];
    let c_v = c[base_1 + s * 16u];
    acc_0 = fma(c_v, adaLN_modulation_1_weight_v, acc_0);
    let c_v_1 = c[base_1 + s * 16u + 1152u];
    acc_1 = fma(c_v_1, adaLN_modulation_1_weight_v, acc_1);
  }
  parts[lane * 2u] = acc_0;
  parts[lane * 2u + 1u] = acc_1;
  workgroupBarrier();
  let base_2 = (lane / 2u) * 32u + (lane % 2u);
  let adaLN_modulation_1_bias_v = adaLN_modulation_1_bias[group.x * 4u + (lane / 2u)];
  if (lane < 8u) {
    var sum: f32 = 0.0;
    for (var p = 0u; p < 16u; p++) {
      sum += parts[base_2 + p * 2u];
    }
    let adaLN_modulation_1 = sum + adaLN_modulation_1_bias_v;
    adaLN_modulation[(lane % 2u) * 2304u + group.x * 4u + (lane / 2u)] = adaLN_modulation_1;
  }
}
