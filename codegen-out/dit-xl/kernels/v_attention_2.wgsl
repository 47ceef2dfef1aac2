// v_attention_2 — attention
//   28 uses
//   reads  qkv f32[3,2,16,256,72]
//   writes attention f32[512,1152]
//   cost   302 MMAC · 9.44 MB · plan: online, 16 queries × 64 keys at a time, 64 lanes
//   source models/dit-blocks.ts:35 attention

@group(0) @binding(0) var<storage, read> qkv: array<f32, 1769472>;
@group(0) @binding(1) var<storage, read_write> attention: array<f32, 589824>;
var<workgroup> scores: array<f32, 1024>;
var<workgroup> output: array<f32, 2048>;
var<workgroup> largest: array<f32, 16>;
var<workgroup> total: array<f32, 16>;
var<workgroup> rescale: array<f32, 16>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  for (var i = 0u; i < 32u; i++) {
    output[lane + i * 64u] = 0.0;
  }
  if (lane < 16u) {
    largest[lane] = -3.402823466e38;
    total[lane] = 0.0;
  }
  workgroupBarrier();
  let qkv_base = lane * 72u + group.z * 18432u;
  let qkv_base_2 = group.x * 1152u + group.z * 18432u;
  let scores_base = lane * 16u;
  let qkv_base_3 = group.z * 18432u;
  for (var block = 0u; block < 4u; block++) {
    // scores of this block of keys
    var s_0_0: vec4f = vec4f(0.0);
    var s_0_1: vec4f = vec4f(0.0);
    var s_0_2: vec4f = vec4f(0.0);
    var s_0_3: vec4f = vec4f(0.0);
    let qkv_base_1 = qkv_base + block * 4608u;
    for (var c = 0u; c < 72u; c++) {
      let qkv_v = qkv[qkv_base_1 + c + 589824u];
      let qkv_v_1 = qkv[qkv_base_2 + c];
      let qkv_v_2 = qkv[qkv_base_2 + c + 72u];
      let qkv_v_3 = qkv[qkv_base_2 + c + 144u];
      let qkv_v_4 = qkv[qkv_base_2 + c + 216u];
      let q_0 = vec4f(qkv_v_1, qkv_v_2, qkv_v_3, qkv_v_4);
      s_0_0 = fma(q_0, vec4f(qkv_v), s_0_0);
      let qkv_v_5 = qkv[qkv_base_2 + c + 288u];
      let qkv_v_6 = qkv[qkv_base_2 + c + 360u];
      let qkv_v_7 = qkv[qkv_base_2 + c + 432u];
      let qkv_v_8 = qkv[qkv_base_2 + c + 504u];
      let q_1 = vec4f(qkv_v_5, qkv_v_6, qkv_v_7, qkv_v_8);
      s_0_1 = fma(q_1, vec4f(qkv_v), s_0_1);
      let qkv_v_9 = qkv[qkv_base_2 + c + 576u];
      let qkv_v_10 = qkv[qkv_base_2 + c + 648u];
      let qkv_v_11 = qkv[qkv_base_2 + c + 720u];
      let qkv_v_12 = qkv[qkv_base_2 + c + 792u];
      let q_2 = vec4f(qkv_v_9, qkv_v_10, qkv_v_11, qkv_v_12);
      s_0_2 = fma(q_2, vec4f(qkv_v), s_0_2);
      let qkv_v_13 = qkv[qkv_base_2 + c + 864u];
      let qkv_v_14 = qkv[qkv_base_2 + c + 936u];
      let qkv_v_15 = qkv[qkv_base_2 + c + 1008u];
      let qkv_v_16 = qkv[qkv_base_2 + c + 1080u];
      let q_3 = vec4f(qkv_v_13, qkv_v_14, qkv_v_15, qkv_v_16);
      s_0_3 = fma(q_3, vec4f(qkv_v), s_0_3);
    }
    var tile = array<f32, 16>(
      s_0_0.x, s_0_0.y, s_0_0.z, s_0_0.w, s_0_1.x, s_0_1.y, s_0_1.z, s_0_1.w,
      s_0_2.x, s_0_2.y, s_0_2.z, s_0_2.w, s_0_3.x, s_0_3.y, s_0_3.z, s_0_3.w,
    );
    for (var r = 0u; r < 16u; r++) {
      let score = tile[r] * 0.11785113;
      scores[scores_base + r] = select(score, -3.402823466e38, score < -3.402823466e38);
    }
    workgroupBarrier();
    // running maximum and sum of each row
    if (lane < 16u) {
      let before = largest[lane];
      var top: f32 = before;
      for (var j = 0u; j < 64u; j++) {
        top = max(top, scores[lane + j * 16u]);
      }
      var sum: f32 = 0.0;
      for (var j_1 = 0u; j_1 < 64u; j_1++) {
        let weight = exp(scores[lane + j_1 * 16u] - top);
        scores[lane + j_1 * 16u] = weight;
        sum += weight;
      }
      let factor = exp(before - top);
      total[lane] = fma(total[lane], factor, sum);
      largest[lane] = top;
      rescale[lane] = factor;
    }
    workgroupBarrier();
    // output of the block, rescaled to the new maximum
    let qkv_base_4 = qkv_base_3 + block * 4608u;
    for (var chunk = 0u; chunk < 2u; chunk++) {
      let column_0 = min(lane + chunk * 64u, 71u);
      let rescale_0 = vec4f(rescale[0u], rescale[1u], rescale[2u], rescale[3u]);
      let rescale_1 = vec4f(rescale[4u], rescale[5u], rescale[6u], rescale[7u]);
      let rescale_2 = vec4f(rescale[8u], rescale[9u], rescale[10u], rescale[11u]);
      let rescale_3 = vec4f(rescale[12u], rescale[13u], rescale[14u], rescale[15u]);
      let old = vec4f(output[scores_base + chunk * 1024u], output[scores_base + chunk * 1024u + 1u], output[scores_base + chunk * 1024u + 2u], output[scores_base + chunk * 1024u + 3u]);
      var o_0_0: vec4f = old * rescale_0;
      let old_1 = vec4f(output[scores_base + chunk * 1024u + 4u], output[scores_base + chunk * 1024u + 5u], output[scores_base + chunk * 1024u + 6u], output[scores_base + chunk * 1024u + 7u]);
      var o_0_1: vec4f = old_1 * rescale_1;
      let old_2 = vec4f(output[scores_base + chunk * 1024u + 8u], output[scores_base + chunk * 1024u + 9u], output[scores_base + chunk * 1024u + 10u], output[scores_base + chunk * 1024u + 11u]);
      var o_0_2: vec4f = old_2 * rescale_2;
      let old_3 = vec4f(output[scores_base + chunk * 1024u + 12u], output[scores_base + chunk * 1024u + 13u], output[scores_base + chunk * 1024u + 14u], output[scores_base + chunk * 1024u + 15u]);
      var o_0_3: vec4f = old_3 * rescale_3;
      let qkv_base_5 = qkv_base_4 + column_0;
      for (var j_2 = 0u; j_2 < 64u; j_2++) {
        let qkv_v_17 = qkv[qkv_base_5 + j_2 * 72u + 1179648u];
        let w_0 = vec4f(scores[j_2 * 16u], scores[j_2 * 16u + 1u], scores[j_2 * 16u + 2u], scores[j_2 * 16u + 3u]);
        o_0_0 = fma(w_0, vec4f(qkv_v_17), o_0_0);
        let w_1 = vec4f(scores[j_2 * 16u + 4u], scores[j_2 * 16u + 5u], scores[j_2 * 16u + 6u], scores[j_2 * 16u + 7u]);
        o_0_1 = fma(w_1, vec4f(qkv_v_17), o_0_1);
        let w_2 = vec4f(scores[j_2 * 16u + 8u], scores[j_2 * 16u + 9u], scores[j_2 * 16u + 10u], scores[j_2 * 16u + 11u]);
        o_0_2 = fma(w_2, vec4f(qkv_v_17), o_0_2);
        let w_3 = vec4f(scores[j_2 * 16u + 12u], scores[j_2 * 16u + 13u], scores[j_2 * 16u + 14u], scores[j_2 * 16u + 15u]);
        o_0_3 = fma(w_3, vec4f(qkv_v_17), o_0_3);
      }
      var tile_1 = array<f32, 16>(
        o_0_0.x, o_0_0.y, o_0_0.z, o_0_0.w, o_0_1.x, o_0_1.y, o_0_1.z, o_0_1.w,
        o_0_2.x, o_0_2.y, o_0_2.z, o_0_2.w, o_0_3.x, o_0_3.y, o_0_3.z, o_0_3.w,
      );
      let output_base = scores_base + chunk * 1024u;
      for (var r_1 = 0u; r_1 < 16u; r_1++) {
        output[output_base + r_1] = tile_1[r_1];
      }
    }
    workgroupBarrier();
  }
  let attention_base = group.x * 18432u + (group.z / 16u) * 294912u + (group.z % 16u) * 72u;
  for (var i_1 = 0u; i_1 < 2u; i_1++) {
    let output_base_1 = scores_base + i_1 * 1024u;
    let column = min(lane + i_1 * 64u, 71u);
    let attention_base_1 = attention_base + column;
    for (var r_2 = 0u; r_2 < 16u; r_2++) {
      if ((lane + i_1 * 64u) < 72u) {
        attention[attention_base_1 + r_2 * 1152u] = output[output_base_1 + r_2] / total[r_2];
      }
    }
  }
}
