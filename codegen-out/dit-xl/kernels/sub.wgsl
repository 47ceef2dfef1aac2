// sub — sub
//   1 use
//   reads  nothing
//   writes sub i32[], in place of step
//   cost   8 B · plan: one invocation per element
//   source models/diffusion.ts:246 sub

@group(0) @binding(0) var<storage, read_write> sub: array<i32, 1>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = group.x * 64u + lane;
  if (i >= 1u) { return; }
  let sub_v = sub[0u];
  sub[0u] = sub_v - 1i;
}
