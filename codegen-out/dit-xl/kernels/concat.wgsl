// concat — copy
//   1 use
//   reads  cos f32[250,2,128] · sin f32[250,2,128]
//   writes cos f32[250,2,256]
//   cost   1.02 MB · plan: one invocation per element
//   source the compiler

@group(0) @binding(0) var<storage, read> cos_1: array<f32, 64000>;
@group(0) @binding(1) var<storage, read> sin_1: array<f32, 64000>;
@group(0) @binding(2) var<storage, read_write> cos_2: array<f32, 128000>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = group.x * 64u + lane;
  let inner = min(i % 256u, 127u);
  let cos_1_v = cos_1[inner + (i / 256u) * 128u];
  let inner_1 = max(i % 256u, 128u) - 128u;
  let sin_1_v = sin_1[inner_1 + (i / 256u) * 128u];
  cos_2[i] = select(cos_1_v, sin_1_v, (i % 256u) >= 128u);
}
