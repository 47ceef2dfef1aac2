// next_step — sub
//   1 use
//   reads  step i32[]
//   writes next_step i32[], in place of step
//   cost   8 B · plan: one invocation per element
//   source models/diffusion.ts:169 sub

@group(0) @binding(0) var<storage, read_write> next_step: array<i32, 1>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = group.x * 64u + lane;
  if (i >= 1u) { return; }
  let next_step_v = next_step[0u];
  next_step[0u] = next_step_v - 1i;
}
