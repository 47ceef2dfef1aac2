// constant — copy
//   1 use
//   reads  nothing
//   writes constant i32[]
//   cost   4 B · plan: one invocation per element
//   source the compiler

@group(0) @binding(0) var<storage, read_write> constant: array<i32, 1>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = group.x * 64u + lane;
  if (i >= 1u) { return; }
  constant[0u] = 249i;
}
