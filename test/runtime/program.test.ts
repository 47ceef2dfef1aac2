import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Artefact } from '../../compiler/emit/artefact.ts';
import { openDevice } from '../../runtime/device.ts';
import type { OpenDevice } from '../../runtime/device.ts';
import { findAdapter } from '../../runtime/node/adapter.ts';
import type { FoundAdapter } from '../../runtime/node/adapter.ts';
import { Program } from '../../runtime/program.ts';
import { N, wgsl, kernel, dispatch, arena, named, tensor, entry, artefact, ramp, sum, counter } from './by-hand.ts';

let found: FoundAdapter;
let open: OpenDevice;
beforeAll(async () => {
  found = await findAdapter();
  open = await openDevice(found.adapter, found.spec);
});
afterAll(() => {
  open.close();
  found.close();
});

/** Creates, uses and closes a program. */
async function using<T>(made: Artefact, use: (program: Program) => Promise<T>, entries?: string[]): Promise<T> {
  const program = await Program.create(open.device, made, { entries });
  try {
    return await use(program);
  } finally {
    program.close();
    open.check();
  }
}
const failure = (made: Artefact, device = open.device) =>
  Program.create(device, made).then(
    (program) => {
      program.close();
      throw new Error('it did not fail');
    },
    (error: unknown) => error,
  );

/** The device with some properties replaced; methods stay bound to the real one. */
function wrap(replaced: Record<string, unknown>, device = open.device): GPUDevice {
  return new Proxy(device, {
    get: (target, key) => {
      if (key in replaced) return replaced[key as string];
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}
const limited = (limits: Record<string, number>) =>
  wrap({ limits: new Proxy(open.device.limits, { get: (t, k) => limits[k as string] ?? Reflect.get(t, k, t) }) });

describe('replay', () => {
  it('runs dispatches through arenas and reads outputs back', () =>
    using(sum(), async (program) => {
      program.write('a', ramp());
      program.write('b', ramp(0, 0.5));
      await program.run('forward');
      expect(await program.readOutput('forward', 'sum')).toEqual(ramp(1, 0.5));
      expect(await program.readOutput('forward', 'twice')).toEqual(ramp(2, 1));
      expect(program.memory).toMatchObject({ inputs: 512, arenas: 768, total: 1280 });
    }));

  it('updates state in place, all copies reading old values', () =>
    using(
      counter(),
      async (program) => {
        program.writeState('p', ramp(1));
        await program.setState('q', ramp(-1));
        for (let i = 0; i < 3; i++) await program.run('step');
        expect(await program.readState('count')).toEqual(new Uint32Array([3]));
        expect(await program.readOutput('step', 'count')).toEqual(new Uint32Array([3]));
        expect(await program.readState('p')).toEqual(ramp(-1));
        expect(await program.readState('q')).toEqual(ramp(1));
        expect(await program.readState('last')).toEqual(ramp(-1));
        expect(program.states.map((s) => s.name)).toEqual(['count', 'p', 'q', 'last']);
        expect(program.memory.temporaries).toBe(N * 4);
        program.clear('state', 'p');
        expect(await program.readState('p')).toEqual(new Float32Array(N));
      },
      ['step'],
    ));

  it('stores f16 parameters in two bytes, rounded to nearest even, in chunks of odd sizes', async () => {
    if (!open.device.features.has('shader-f16')) return;
    const shape = [7];
    const made = artefact(
      {
        params: [{ ...tensor('w', 'f16', shape), init: { kind: 'zeros' } }],
        kernels: { twice: kernel('twice', ['a'], 14, ['shader-f16']) },
        entries: {
          forward: entry({
            outputs: [{ ...tensor('y', 'f16', shape), resource: arena(0, 0, 14) }],
            dispatches: [dispatch('twice', [named('param', 'w'), arena(0, 0, 14)])],
            arenas: [16],
          }),
        },
      },
      { twice: wgsl(['a'], 'a[i] * 2.0h', 'f16') },
    );
    await using(made, async (program) => {
      const values = new Float32Array([1, -2.5, 1 + 2 ** -11, 1 + 3 * 2 ** -11, 2 ** -24, 70000, 3 * 2 ** -25]);
      const chunks = [values.subarray(0, 3), values.subarray(3, 4), values.subarray(4, 7)];
      await program.setParam('w', chunks);
      const rounded = new Float32Array([1, -2.5, 1, 1 + 2 ** -9, 2 ** -24, Infinity, 2 ** -23]);
      expect(await program.readParam('w')).toEqual(rounded);
      await program.run('forward');
      expect(await program.readOutput('forward', 'y')).toEqual(rounded.map((x) => x * 2));
      await expect(program.setParam('w', values.subarray(1))).rejects.toThrow(
        /w has another size: \[7\] f16 is 7.*6 were/,
      );
      await expect(program.setParam('w', [values, values])).rejects.toThrow(/at least 14 were given/);
    });
  });

  it('dispatches a grid of 65535 × 3 workgroups and uploads constants', async () => {
    const made = artefact(
      {
        constants: [tensor('two', 'u32', [1])],
        kernels: { fill: kernel('fill', ['a'], 4) },
        entries: {
          forward: entry({
            outputs: [{ ...tensor('y', 'u32', [65535 * 3]), resource: arena(0, 0, 65535 * 12) }],
            dispatches: [
              { ...dispatch('fill', [named('constant', 'two'), arena(0, 0, 65535 * 12)]), workgroups: [65535, 3, 1] },
            ],
            arenas: [65535 * 12],
          }),
        },
      },
      {
        fill: `@group(0) @binding(0) var<storage, read> a: array<u32>;
          @group(0) @binding(1) var<storage, read_write> out: array<u32>;
          @compute @workgroup_size(1) fn main(@builtin(workgroup_id) g: vec3u) { let i = g.y * 65535u + g.x; out[i] = i * a[0]; }`,
      },
      new Map([['two', new Uint32Array([2])]]),
    );
    await using(made, async (program) => {
      await program.run('forward');
      const values = await program.readOutput('forward', 'y');
      expect(values.every((value, i) => value === i * 2)).toBe(true);
    });
  });

  it('creates nothing while running', async () => {
    let created = 0;
    const count =
      (method: 'createBuffer' | 'createBindGroup' | 'createShaderModule') =>
      (descriptor: never): unknown => {
        created++;
        return open.device[method](descriptor);
      };
    const device = wrap({
      createBuffer: count('createBuffer'),
      createBindGroup: count('createBindGroup'),
      createShaderModule: count('createShaderModule'),
    });
    const program = await Program.create(device, counter());
    const before = created;
    expect(before).toBeGreaterThan(0);
    for (let i = 0; i < 2000; i++) await program.run('step');
    await program.sync();
    expect(created).toBe(before);
    expect(await program.readState('count')).toEqual(new Uint32Array([2000]));
    program.close();
  });

  it('times each dispatch', () =>
    using(sum(), async (program) => {
      const times = await program.runProfiled('forward');
      if (times === null) return expect(open.device.features.has('timestamp-query')).toBe(false);
      const { encode, submit, done, dispatches } = times;
      expect(dispatches).toHaveLength(2);
      const [[, firstEnd], [secondStart]] = dispatches;
      expect(secondStart).toBeGreaterThanOrEqual(firstEnd);
      for (const [from, to] of [encode, submit, ...dispatches]) expect(to).toBeGreaterThanOrEqual(from);
      expect([encode[1], done >= submit[1]]).toEqual([submit[0], true]);
    }));
});

describe('wrong use', () => {
  it('names what is known', () =>
    using(sum(), async (program) => {
      expect(() => program.write('c', ramp())).toThrow('unknown input "c": known are a, b');
      expect(() => program.write('a', new Float32Array(3))).toThrow('[64] f32 is 64 values, 3 were given');
      expect(() => program.write('a', new Int32Array(N))).toThrow('it was given as Int32Array; pass a Float32Array');
      await expect(program.run('backward')).rejects.toThrow('unknown entry "backward": known are forward');
      await expect(program.readState('m')).rejects.toThrow('unknown state "m": there are none');
      await expect(program.readOutput('forward', 'sum')).rejects.toMatchObject({ code: 'stale' });
      await program.run('forward');
      await expect(program.readOutput('forward', 'z')).rejects.toThrow('known are sum, twice');
    }));

  it('refuses to work once closed', async () => {
    const program = await Program.create(open.device, sum());
    program.close();
    program.close();
    expect(() => program.write('a', ramp())).toThrow('the program is closed');
    await expect(program.run('forward')).rejects.toMatchObject({ code: 'closed' });
    await expect(program.sync()).rejects.toMatchObject({ code: 'closed' });
  });

  it('refuses unknown entries and undeclared tensors', async () => {
    await expect(Program.create(open.device, sum(), { entries: ['x'] })).rejects.toThrow('known are forward');
    const made = counter();
    expect(await failure(artefact({ ...made.manifest, states: [] }, Object.fromEntries(made.wgsl)))).toMatchObject({
      code: 'bad-artefact',
    });
  });
});

describe('what a device cannot do', () => {
  it('names a missing feature', async () => {
    const made = sum();
    const kernels = { ...made.manifest.kernels, add: kernel('add', ['a', 'b'], 256, ['warp-drive']) };
    const error = await failure(artefact({ ...made.manifest, kernels }, Object.fromEntries(made.wgsl)));
    expect(error).toMatchObject({ code: 'missing-feature', where: 'models/my.ts:4:9' });
    expect(String(error)).toContain('kernel add needs warp-drive: the device offers');
  });

  it('names the tensor, the limit and the fix', async () => {
    const cases: [Record<string, number>, RegExp][] = [
      [
        { maxStorageBufferBindingSize: 128 },
        /input a \(kernel add\) binds 256 bytes.*maxStorageBufferBindingSize is 128.*--batch/,
      ],
      [{ maxStorageBuffersPerShaderStage: 2 }, /kernel add binds 3 buffers.*maxStorageBuffersPerShaderStage is 2/],
      [{ maxComputeInvocationsPerWorkgroup: 32 }, /kernel add has workgroups of 64×1×1.*is 32/],
      [{ maxComputeWorkgroupSizeX: 16 }, /maxComputeWorkgroupSizeX is 16/],
      [{ maxBufferSize: 400 }, /arena 0 takes 512 bytes.*maxBufferSize is 400/],
      [{ maxComputeWorkgroupsPerDimension: 0 }, /add value \(kernel add\) is dispatched as 1×1×1 workgroups/],
      [{ minStorageBufferOffsetAlignment: 512 }, /out of add value starts at byte 256/],
    ];
    for (const [limits, message] of cases) {
      const error = await failure(sum(), limited(limits));
      expect(error).toMatchObject({ code: 'limit' });
      expect(String(error)).toMatch(message);
    }
  });

  it('waits for what gives it values meanwhile, and fails as that does', async () => {
    const given = sum();
    const order: string[] = [];
    const slow = async (program: Program) => {
      await new Promise((resolve) => setTimeout(resolve, 20));
      order.push('given');
      expect(program.entries).toContain('forward');
    };
    (await Program.create(open.device, given, { meanwhile: slow })).close();
    order.push('created');
    expect(order).toEqual(['given', 'created']);
    const bad = artefact(given.manifest, { ...Object.fromEntries(given.wgsl), twice: wgsl(['a'], 'a[i] * bogus') });
    const compiled = Program.create(open.device, bad, { meanwhile: slow });
    await expect(compiled).rejects.toMatchObject({ code: 'bad-kernel' });
    expect(order).toEqual(['given', 'created', 'given']);
    const meanwhile = () => Promise.reject(new Error('no such file'));
    await expect(Program.create(open.device, given, { meanwhile })).rejects.toThrow('no such file');
  });

  it('shows the WGSL around a compile error', async () => {
    const made = sum();
    const error = await failure(
      artefact(made.manifest, { ...Object.fromEntries(made.wgsl), twice: wgsl(['a'], 'a[i] * bogus') }),
    );
    expect(error).toMatchObject({ code: 'bad-kernel', where: expect.stringContaining('twice.wgsl:6:') });
    expect(String(error)).toMatch(/kernel twice does not compile: unresolved value 'bogus'\n.*@compute/s);
    expect(String(error)).toMatch(/\n {4}6 {4}if \(i < arrayLength.*bogus; \}\n +\^\n/);
  });

  it('finds a dispatch that reads the buffer it writes', async () => {
    const made = sum();
    const forward = entry({
      ...made.manifest.entries.forward,
      dispatches: [made.manifest.entries.forward.dispatches[0], dispatch('twice', [arena(0, 256), arena(0)])],
    });
    const error = await failure(artefact({ ...made.manifest, entries: { forward } }, Object.fromEntries(made.wgsl)));
    expect(error).toMatchObject({ code: 'bad-artefact', what: expect.stringContaining('dispatch 1, twice value') });
  });
});
