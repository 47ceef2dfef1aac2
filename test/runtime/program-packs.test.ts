/** Packs: parameters that share a buffer, used as a whole and one by one. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Artefact, EntrySpec, Manifest, PackSpec, ParamSpec, Resource } from '../../compiler/emit/artefact.ts';
import { openDevice } from '../../runtime/device.ts';
import type { OpenDevice } from '../../runtime/device.ts';
import { findAdapter } from '../../runtime/node/adapter.ts';
import type { FoundAdapter } from '../../runtime/node/adapter.ts';
import { Program } from '../../runtime/program.ts';
import { initialise } from '../../runtime/weights.ts';

let found: FoundAdapter;
let open: OpenDevice;
beforeAll(async () => {
  found = await findAdapter();
  open = await openDevice(found.adapter, found.spec);
});
afterAll(() => {
  open.check();
  open.close();
  found.close();
});

/** Values of a parameter: 256 bytes, to which WebGPU's default aligns bindings. */
const N = 64;
const param = (name: string, size = N, dtype: 'f32' | 'f16' = 'f32'): ParamSpec => {
  return { name, shape: [size], dtype, init: { kind: 'normal', std: 1 } };
};
const arena = (index: number, size: number): Resource => ({ kind: 'arena', arena: index, offset: 0, size });
const ofParam = (name: string) => ({ kind: 'param', name }) as const satisfies Resource;
const ofPack = (name: string): Resource => ({ kind: 'pack', name });
const ramp = (start: number, length = N) => Float32Array.from({ length }, (_, i) => start + i);

interface Parts {
  readonly params: readonly ParamSpec[];
  readonly packs: readonly PackSpec[];
  /** What each dispatch reads; it writes twice that to the arena of the same index, an output of the same name. */
  readonly reads?: readonly { readonly resource: Resource; readonly size: number }[];
  readonly updates?: EntrySpec['updates'];
}

function artefact({ params, packs, reads = [], updates = [] }: Parts): Artefact {
  const arenas = reads.map(({ size }) => size * 4);
  const wgsl = `@group(0) @binding(0) var<storage, read> a: array<f32>;
    @group(0) @binding(1) var<storage, read_write> out: array<f32>;
    @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
      if (id.x < arrayLength(&out)) { out[id.x] = a[id.x] * 2.0; }
    }`;
  const kernels: Record<string, Manifest['kernels'][string]> = {};
  const dispatches = reads.map(({ resource, size }, i) => {
    const bytes = size * 4;
    kernels[`twice${i}`] = {
      file: `kernels/twice${i}.wgsl`,
      bindings: [
        { name: 'a', access: 'read', bytes },
        { name: 'out', access: 'read_write', bytes },
      ],
      plan: {},
      features: [],
    };
    const counts = { macs: 0, bytesRead: 0, bytesWritten: 0, ops: [], source: ['models/my.ts:4:9'] };
    const workgroups: [number, number, number] = [Math.ceil(size / 64), 1, 1];
    return { kernel: `twice${i}`, workgroups, value: `y${i}`, ...counts, resources: [resource, arena(i, bytes)] };
  });
  const outputs = reads.map(({ size }, i) => {
    return { name: `y${i}`, shape: [size], dtype: 'f32' as const, resource: arena(i, size * 4) };
  });
  const bytes = { weightBytes: 0, stateBytes: 0, activationPeakBytes: 0, activationLowerBoundBytes: 0 };
  const forward = {
    inputs: [],
    outputs,
    macs: 0,
    paramCount: 0,
    dispatches,
    updates,
    changes: [],
    memory: { ...bytes, arenas },
  };
  const rest = { format: 1 as const, model: 'tiny', source: 'my.ts', device: 'any', states: [], constants: [] };
  const manifest: Manifest = { ...rest, kernels, params, packs, entries: { forward } };
  return { manifest, wgsl: new Map(Object.keys(kernels).map((name) => [name, wgsl])), data: new Map() };
}

async function using(parts: Parts, use: (program: Program, made: Artefact) => Promise<void>): Promise<void> {
  const made = artefact(parts);
  const program = await Program.create(open.device, made);
  try {
    await use(program, made);
  } finally {
    program.close();
  }
}
const failure = (parts: Parts, device = open.device): Promise<unknown> =>
  Program.create(device, artefact(parts)).then(
    () => expect.fail('it did not fail'),
    (error: unknown) => error,
  );
const limited = (limits: Record<string, number>): GPUDevice => {
  const some = new Proxy(open.device.limits, { get: (t, k) => limits[k as string] ?? Reflect.get(t, k, t) });
  return new Proxy(open.device, {
    get: (target, key) => {
      const value: unknown = key === 'limits' ? some : Reflect.get(target, key, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
};

/** q and k in one buffer, read as a whole and k alone; o has its own. */
const attention: Parts = {
  params: [param('k'), param('o'), param('q')],
  packs: [{ name: 'qk', params: ['q', 'k'] }],
  reads: [
    { resource: ofPack('qk'), size: 2 * N },
    { resource: ofParam('k'), size: N },
    { resource: ofParam('o'), size: N },
  ],
};

describe('a pack', () => {
  it('is read as one weight, and its parameters by themselves', () =>
    using(attention, async (program) => {
      await program.setParam('k', [ramp(100, 3), ramp(103, 50), ramp(153, 11)]);
      await program.setParam('q', ramp(0));
      await program.setParam('o', ramp(-50));
      await program.run('forward');
      const twice = (values: Float32Array) => values.map((x) => 2 * x);
      const both = new Float32Array([...ramp(0), ...ramp(100)]);
      expect(await program.readOutput('forward', 'y0')).toEqual(twice(both));
      expect(await program.readOutput('forward', 'y1')).toEqual(twice(ramp(100)));
      expect(await program.readOutput('forward', 'y2')).toEqual(twice(ramp(-50)));
      expect(await program.readParam('q')).toEqual(ramp(0));
      expect(await program.readParam('k')).toEqual(ramp(100));
      expect(program.memory.weights).toBe(3 * N * 4);
    }));

  it('is cleared and overwritten one parameter at a time', () =>
    using(attention, async (program) => {
      await program.setParam('q', ramp(1));
      await program.setParam('k', ramp(2));
      program.clear('param', 'q');
      expect(await program.readParam('q')).toEqual(new Float32Array(N));
      expect(await program.readParam('k')).toEqual(ramp(2));
      await expect(program.setParam('q', [ramp(3), ramp(4)])).rejects.toMatchObject({ code: 'mismatch' });
      expect(await program.readParam('k')).toEqual(ramp(2));
    }));

  it('starts from the same values as parameters with buffers of their own', () =>
    using(attention, (packed, made) =>
      using({ params: attention.params, packs: [] }, async (plain) => {
        await initialise(packed, made, 7);
        await initialise(plain, made, 7);
        for (const { name } of attention.params)
          expect(await packed.readParam(name)).toEqual(await plain.readParam(name));
      }),
    ));

  it('is updated at the offsets of its parameters, all copies reading old values', () => {
    const bytes = N * 4;
    const updates: EntrySpec['updates'] = [
      { to: ofParam('q'), from: ofParam('k'), bytes },
      { to: ofParam('k'), from: ofParam('q'), bytes },
      { to: ofParam('o'), from: ofParam('k'), bytes },
    ];
    return using({ ...attention, updates }, async (program) => {
      for (const [i, name] of ['q', 'k', 'o'].entries()) await program.setParam(name, ramp(i));
      await program.run('forward');
      expect(await program.readParam('q')).toEqual(ramp(1));
      expect(await program.readParam('k')).toEqual(ramp(0));
      expect(await program.readParam('o')).toEqual(ramp(1));
    });
  });

  it('takes the new value of one parameter from an arena', () => {
    const updates = [{ to: ofParam('k'), from: arena(1, N * 4), bytes: N * 4 }];
    return using({ ...attention, updates }, async (program) => {
      await program.setParam('q', ramp(1));
      await program.setParam('k', ramp(2));
      for (let i = 0; i < 3; i++) await program.run('forward');
      expect(await program.readParam('q')).toEqual(ramp(1));
      expect(await program.readParam('k')).toEqual(ramp(2).map((x) => 8 * x));
      expect(program.memory.temporaries).toBe(0);
    });
  });

  it('holds f16 tightly, padded at the end only', () =>
    using(
      { params: [param('a', 2, 'f16'), param('b', 3, 'f16')], packs: [{ name: 'ab', params: ['a', 'b'] }] },
      async (program) => {
        expect(program.memory.weights).toBe(12);
        await program.setParam('b', [ramp(3, 1), ramp(4, 2)]);
        await program.setParam('a', ramp(1, 2));
        expect(await program.readParam('a')).toEqual(ramp(1, 2));
        expect(await program.readParam('b')).toEqual(ramp(3, 3));
      },
    ));
});

it('a parameter is bound with what leads to it, to start where a binding may', () =>
  using(
    {
      params: [param('a', 1), param('b', 3)],
      packs: [{ name: 'ab', params: ['a', 'b'] }],
      reads: [{ resource: { kind: 'param', name: 'b', lead: 4 }, size: 4 }],
    },
    async (program) => {
      await program.setParam('a', ramp(1, 1));
      await program.setParam('b', ramp(5, 3));
      await program.run('forward');
      expect(await program.readOutput('forward', 'y0')).toEqual(new Float32Array([2, 10, 12, 14]));
    },
  ));

describe('a pack that cannot be', () => {
  it('names a parameter whose offset no binding can have, and only if it is bound', async () => {
    const parts = { params: [param('a', 1), param('b', 3)], packs: [{ name: 'ab', params: ['a', 'b'] }] };
    await using({ ...parts, reads: [{ resource: ofPack('ab'), size: 4 }] }, async (program) => {
      await program.setParam('b', ramp(5, 3));
      await program.run('forward');
      expect(await program.readOutput('forward', 'y0')).toEqual(new Float32Array([0, 10, 12, 14]));
    });
    const error = await failure({ ...parts, reads: [{ resource: ofParam('b'), size: 3 }] });
    expect(error).toMatchObject({ code: 'bad-artefact', where: 'models/my.ts:4:9' });
    expect(String(error)).toMatch(/param b \(kernel twice0\) starts at byte 4 of pack ab: .*OffsetAlignment/);
    const beyond = await failure({ ...parts, reads: [{ resource: { ...ofParam('b'), lead: 8 }, size: 5 }] });
    expect(beyond).toMatchObject({ code: 'bad-artefact' });
    expect(String(beyond)).toContain('a kernel binds 8 bytes before param b: 4 lie before it in pack ab');
  });

  it('names what contradicts itself', async () => {
    const params = [param('a'), param('b'), param('odd', 3, 'f16'), param('none', 0)];
    const update = { to: ofParam('a'), from: ofParam('b'), bytes: N * 8 };
    const cases: [Partial<Parts> & Pick<Parts, 'packs'>, string][] = [
      [{ packs: [{ name: 'p', params: ['c'] }] }, 'pack p has param c: the manifest does not declare it'],
      [{ packs: [{ name: 'p', params: ['a', 'a'] }] }, 'pack p has param a: it is in pack p already'],
      [{ packs: ['p', 'q'].map((name) => ({ name, params: ['a'] })) }, 'pack q has param a: it is in pack p already'],
      [{ packs: ['a', 'b'].map((name) => ({ name: 'p', params: [name] })) }, 'pack p is declared twice'],
      [{ packs: [{ name: 'p', params: ['none'] }] }, 'pack p has param none: it has no elements'],
      [{ packs: [{ name: 'p', params: ['odd', 'a'] }] }, 'param a starts at byte 6 of pack p: '],
      [{ packs: [], reads: [{ resource: ofPack('p'), size: 1 }] }, 'a kernel or output uses pack p'],
      [{ packs: [{ name: 'p', params: ['a', 'b'] }], updates: [update] }, 'copies 512 bytes: param b has 256'],
      [
        { packs: [{ name: 'p', params: ['a', 'b'] }], reads: [{ resource: ofParam('a'), size: N + 1 }] },
        'param a has 256 bytes: kernel twice0 uses 260',
      ],
    ];
    for (const [parts, message] of cases) {
      const error = await failure({ params, ...parts });
      expect(error, message).toMatchObject({ code: 'bad-artefact' });
      expect(String(error)).toContain(message);
    }
  });

  it('is over a limit', async () => {
    const cases: [Record<string, number>, string][] = [
      [{ maxBufferSize: 400 }, 'pack qk takes 512 bytes: '],
      [{ maxStorageBufferBindingSize: 400 }, 'pack qk (kernel twice0) binds 512 bytes: '],
    ];
    for (const [limits, message] of cases) {
      const error = await failure(attention, limited(limits));
      expect(error).toMatchObject({ code: 'limit' });
      expect(String(error)).toContain(message);
    }
  });
});
