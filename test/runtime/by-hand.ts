/** Small artefacts written by hand: kernels of one line, and what runs them. */
import type { Artefact, Dispatch, EntrySpec, KernelSpec, Manifest, Resource } from '../../compiler/emit/artefact.ts';

export const N = 64;

/** WGSL of `out[i] = body` over f32 arrays, or another type's. */
export function wgsl(reads: string[], body: string, type = 'f32', write = 'out'): string {
  const bindings = [...reads, write].map((name, i) => {
    const access = i < reads.length ? 'read' : 'read_write';
    return `@group(0) @binding(${i}) var<storage, ${access}> ${name}: array<${type}>;`;
  });
  const head = type === 'f16' ? ['enable f16;'] : [];
  return [
    ...head,
    ...bindings,
    '@compute @workgroup_size(64)',
    'fn main(@builtin(global_invocation_id) id: vec3u) {',
    '  let i = id.x;',
    `  if (i < arrayLength(&${write})) { ${write}[i] = ${body}; }`,
    '}',
    '',
  ].join('\n');
}

export const kernel = (name: string, reads: string[], bytes = N * 4, features: string[] = []): KernelSpec => ({
  file: `kernels/${name}.wgsl`,
  bindings: [...reads, 'out'].map((b, i) => ({ name: b, access: i < reads.length ? 'read' : 'read_write', bytes })),
  plan: {},
  features,
});
export const dispatch = (name: string, resources: Resource[], x = 1): Dispatch => ({
  kernel: name,
  workgroups: [x, 1, 1],
  macs: 0,
  bytesRead: 0,
  bytesWritten: 0,
  value: `${name} value`,
  ops: [],
  source: ['models/my.ts:4:9'],
  resources,
});
export const arena = (index: number, offset = 0, size = N * 4): Resource => ({
  kind: 'arena',
  arena: index,
  offset,
  size,
});
export const named = (kind: 'param' | 'state' | 'input' | 'constant', name: string): Resource => ({ kind, name });
export const tensor = (name: string, dtype: 'f32' | 'f16' | 'i32' | 'u32' | 'bool' = 'f32', shape = [N]) => ({
  name,
  shape,
  dtype,
});
export const entry = (parts: Partial<EntrySpec> & { arenas?: number[] }): EntrySpec => ({
  inputs: [],
  outputs: [],
  macs: 0,
  paramCount: 0,
  dispatches: [],
  updates: [],
  changes: [],
  memory: {
    weightBytes: 0,
    stateBytes: 0,
    activationPeakBytes: 0,
    activationLowerBoundBytes: 0,
    arenas: parts.arenas ?? [],
  },
  ...parts,
});
export function artefact(parts: Partial<Manifest>, shaders: Record<string, string> = {}, data = new Map()): Artefact {
  const manifest: Manifest = {
    format: 1,
    model: 'tiny',
    source: 'models/my.ts',
    device: 'any',
    entries: {},
    kernels: {},
    params: [],
    states: [],
    constants: [],
    ...parts,
  };
  return { manifest, wgsl: new Map(Object.entries(shaders)), data };
}

export const state = (name: string, shape = [N], dtype: 'f32' | 'u32' = 'f32') => ({
  ...tensor(name, dtype, shape),
  init: { kind: 'zeros' as const },
});
export const ramp = (scale = 1, start = 0) => Float32Array.from({ length: N }, (_, i) => start + i * scale);

/** a + b into arena 0, that doubled into arena 1. */
export const sum = () =>
  artefact(
    {
      kernels: { add: kernel('add', ['a', 'b']), twice: kernel('twice', ['a']) },
      entries: {
        forward: entry({
          inputs: [tensor('a'), tensor('b')],
          outputs: [
            { ...tensor('sum'), resource: arena(0, 256) },
            { ...tensor('twice'), resource: arena(1) },
          ],
          dispatches: [
            dispatch('add', [named('input', 'a'), named('input', 'b'), arena(0, 256)]),
            dispatch('twice', [arena(0, 256), arena(1)]),
          ],
          arenas: [512, 256],
        }),
      },
    },
    { add: wgsl(['a', 'b'], 'a[i] + b[i]'), twice: wgsl(['a'], 'a[i] * 2.0') },
  );

/** `count` += 1 and a swap of `p` and `q` at each run; `last` keeps q's old value. */
export const counter = () =>
  artefact(
    {
      kernels: { increment: kernel('increment', ['a'], 4) },
      states: [state('count', [], 'u32'), state('p'), state('q'), state('last'), state('unused', [1000])],
      entries: {
        step: entry({
          outputs: [{ ...tensor('count', 'u32', []), resource: arena(0, 0, 4) }],
          dispatches: [dispatch('increment', [named('state', 'count'), arena(0, 0, 4)])],
          updates: [
            { to: named('state', 'count'), from: arena(0, 0, 4), bytes: 4 },
            { to: named('state', 'p'), from: named('state', 'q'), bytes: N * 4 },
            { to: named('state', 'q'), from: named('state', 'p'), bytes: N * 4 },
            { to: named('state', 'last'), from: named('state', 'q'), bytes: N * 4 },
          ],
          arenas: [4],
        }),
        other: entry({ dispatches: [dispatch('increment', [named('state', 'unused'), arena(0, 0, 4)])], arenas: [8] }),
      },
    },
    { increment: wgsl(['a'], 'a[i] + 1u', 'u32') },
  );
