// adaLN_modulation — linear
//   1 use: final_layer.adaLN_modulation.*
//   reads  c f32[1,1152] · adaLN_modulation_1_weight f32[2304,1152] · adaLN_modulation_1_bias f32[2304]
//   writes adaLN_modulation f32[1,2304]
//   cost   2.65 MMAC · 10.6 MB · plan: 16 invocations per column along k
//   source models/dit.ts:123 linear

@group(0) @binding(0) var<storage, read> c: array<f32, 1152>;
@group(0) @binding(1) var<storage, read> adaLN_modulation_1_weight: array<f32, 2654208>;
@group(0) @binding(2) var<storage, read> adaLN_modulation_1_bias: array<f32, 2304>;
@group(0) @binding(3) var<storage, read_write> adaLN_modulation: array<f32, 2304>;
var<workgroup> parts: array<f32, 64>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  var acc_0: f32 = 0.0;
  let base = group.x * 4608u + (lane / 16u) * 1152u + (lane % 16u);
  let base_1 = lane % 16u;
  for (var s = 0u; s < 72u; s++) {
    let adaLN_modulation_1_weight_v = adaLN_modulation_1_weight[base + s * 16u];
    let c_v = c[base_1 + s * 16u];
    acc_0 = fma(c_v, adaLN_modulation_1_weight_v, acc_0);
  }
  parts[lane] = acc_0;
  workgroupBarrier();
  let base_2 = lane * 16u;
  let adaLN_modulation_1_bias_v = adaLN_modulation_1_bias[group.x * 4u + lane];
  if (lane < 4u) {
    var sum: f32 = 0.0;
    for (var p = 0u; p < 16u; p++) {
      sum += parts[base_2 + p];
    }
    let adaLN_modulation_1 = sum + adaLN_modulation_1_bias_v;
    adaLN_modulation[group.x * 4u + lane] = adaLN_modulation_1;
  }
}
