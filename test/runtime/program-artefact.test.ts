import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Manifest } from '../../compiler/emit/artefact.ts';
import { signed } from '../../compiler/emit/digest.ts';
import { readArtefact } from '../../runtime/node/artefact.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'ditc-artefact-'));
  await mkdir(join(dir, 'kernels'));
});
afterEach(() => rm(dir, { recursive: true }));

const manifest = () => ({
  format: 1,
  model: 'tiny',
  source: 'models/my.ts',
  device: 'any',
  entries: {
    forward: {
      inputs: [{ name: 'x', shape: [4], dtype: 'f32' }],
      outputs: [{ name: 'y', shape: [4], dtype: 'f32', resource: { kind: 'arena', arena: 0, offset: 0, size: 16 } }],
      macs: 0,
      paramCount: 0,
      dispatches: [
        {
          kernel: 'add',
          workgroups: [1, 1, 1],
          macs: 0,
          bytesRead: 16,
          bytesWritten: 16,
          value: 'y',
          ops: ['add'],
          source: ['models/my.ts:3:1'],
          resources: [
            { kind: 'constant', name: 'constant.0' },
            { kind: 'arena', arena: 0, offset: 0, size: 16 },
          ] as unknown[],
        },
      ],
      updates: [],
      changes: [],
      memory: { arenas: [16] },
    },
  },
  kernels: {
    add: {
      file: 'kernels/add.wgsl',
      bindings: [
        { name: 'a', access: 'read', bytes: 16 },
        { name: 'y', access: 'read_write', bytes: 16 },
      ],
      plan: {},
      features: [],
      note: 'keys that this version does not know are fine',
    },
  },
  params: [{ name: 'w', shape: [2], dtype: 'i32', init: { kind: 'file' } }],
  states: [],
  constants: [{ name: 'constant.0', shape: [4], dtype: 'f32' }],
});

/** A safetensors file of one f32[4] and one i32[2]. */
function constants(): Uint8Array {
  const header = JSON.stringify({
    'constant.0': { dtype: 'F32', shape: [4], data_offsets: [0, 16] },
    'init.w': { dtype: 'I32', shape: [2], data_offsets: [16, 24] },
  });
  const text = header + ' '.repeat(-header.length & 7);
  const bytes = new Uint8Array(8 + text.length + 24);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
  bytes.set(new TextEncoder().encode(text), 8);
  bytes.set(new Uint8Array(new Float32Array([1, 2, 3, 4]).buffer), 8 + text.length);
  bytes.set(new Uint8Array(new Int32Array([-1, 9]).buffer), 8 + text.length + 16);
  return bytes;
}

const KERNEL = '// add';

/** The manifest as a build writes it, whatever it says. */
const sign = (value: ReturnType<typeof manifest>) =>
  signed(
    value as unknown as Manifest,
    new Map<string, string | Uint8Array>([
      ['kernels/add.wgsl', KERNEL],
      ['constants.safetensors', constants()],
    ]),
  );

async function write(
  value: unknown = sign(manifest()),
  parts: { kernel?: boolean; constants?: boolean } = {},
): Promise<void> {
  await writeFile(join(dir, 'manifest.json'), typeof value === 'string' ? value : JSON.stringify(value));
  if (parts.kernel !== false) await writeFile(join(dir, 'kernels/add.wgsl'), KERNEL);
  if (parts.constants !== false) await writeFile(join(dir, 'constants.safetensors'), constants());
}

describe('readArtefact', () => {
  it('reads the manifest, the kernels and the constants', async () => {
    await write();
    const artefact = await readArtefact(dir);
    expect(artefact.manifest.model).toBe('tiny');
    expect(artefact.wgsl).toEqual(new Map([['add', '// add']]));
    expect(artefact.data.get('constant.0')).toEqual(new Float32Array([1, 2, 3, 4]));
    expect(artefact.data.get('init.w')).toEqual(new Int32Array([-1, 9]));
  });

  it('says when the folder holds no artefact', async () => {
    const error = await readArtefact(join(dir, 'nowhere')).catch((e: unknown) => e);
    expect(error).toMatchObject({ code: 'not-found', where: join(dir, 'nowhere') });
    expect(String(error)).toContain('it is not an artefact folder');
  });

  it('refuses other formats', async () => {
    await write({ ...manifest(), format: 2 });
    await expect(readArtefact(dir)).rejects.toMatchObject({ code: 'unsupported' });
    await write({ name: 'some-npm-package' });
    await expect(readArtefact(dir)).rejects.toThrow('format must be 1, it is missing');
    await write('[]');
    await expect(readArtefact(dir)).rejects.toThrow('it must be an object');
    await write('{"format": 1,');
    await expect(readArtefact(dir)).rejects.toThrow('the manifest is no JSON');
  });

  it('gives the path of what is malformed', async () => {
    const cases: [(m: ReturnType<typeof manifest>) => void, string][] = [
      [
        (m) => (m.entries.forward.dispatches[0].workgroups = [1, 1]),
        'manifest.entries.forward.dispatches[0].workgroups',
      ],
      [(m) => (m.entries.forward.dispatches[0].resources[1] = { kind: 'arena' }), 'resources[1].arena must be'],
      [(m) => (m.entries.forward.memory.arenas = [-1]), 'memory.arenas[0] must be a non-negative integer, it is "-1"'],
      [
        (m) => (m.kernels.add.bindings[0].access = 'write'),
        'access must be one of read, read_write, it is "\\"write\\""',
      ],
      [(m) => (m.params[0].dtype = 'f64'), 'params[0].dtype must be one of f32, f16, i32, u32, bool'],
      [(m) => (m.params[0].init = { kind: 'normal' }), 'params[0].init.std must be a number, it is missing'],
      [(m) => delete (m as Partial<typeof m>).states, 'manifest.states must be a list, it is missing'],
    ];
    for (const [break_, message] of cases) {
      const broken = manifest();
      break_(broken);
      await write(sign(broken));
      const error = await readArtefact(dir).catch((e: unknown) => e);
      expect(error).toMatchObject({ code: 'bad-artefact', where: join(dir, 'manifest.json') });
      expect(String(error)).toContain(message);
    }
  });

  it('names missing files and tensors, and reads no file outside the folder', async () => {
    await write(undefined, { kernel: false });
    await expect(readArtefact(dir)).rejects.toThrow(/add\.wgsl: a file of the artefact cannot be read: no such file/);
    await rm(join(dir, 'constants.safetensors'));
    await write(undefined, { constants: false });
    await expect(readArtefact(dir)).rejects.toThrow(
      /constants\.safetensors: a file of the artefact cannot be read: no such file/,
    );
    const other = manifest();
    other.constants[0].shape = [5];
    await write(sign(other));
    await expect(readArtefact(dir)).rejects.toThrow('tensor constant.0 must be [5]: it is [4]');
    const outside = manifest();
    outside.kernels.add.file = 'kernels/../../secret.wgsl';
    await write(sign(outside));
    await expect(readArtefact(dir)).rejects.toThrow('kernels.add.file must be kernels/NAME.wgsl');
  });

  it('refuses names that would lead a file out of its folder', async () => {
    const names = ['../../x', '/etc/x', 'a/b', 'a\\b', 'a\nb', 'a\0b', '..', '.', '', 'a b', 'x'.repeat(300), '-x'];
    for (const name of names) {
      const output = manifest();
      output.entries.forward.outputs[0].name = name;
      await write(sign(output));
      await expect(readArtefact(dir), name).rejects.toThrow('outputs[0].name must be a name of letters');
      const state = { ...manifest(), states: [{ name, shape: [], dtype: 'i32', init: { kind: 'zeros' } }] };
      await write(sign(state as never));
      await expect(readArtefact(dir), name).rejects.toThrow('states[0].name must be a name of letters');
      const { forward } = manifest().entries;
      await write(sign({ ...manifest(), entries: { [name]: forward } } as never));
      await expect(readArtefact(dir), name).rejects.toThrow('a name in manifest.entries must be a name of letters');
    }
  });

  it('refuses to follow a manifest down without end', async () => {
    const deep = '['.repeat(200_000) + ']'.repeat(200_000);
    const text = JSON.stringify(sign(manifest()));
    for (const altered of [`{"more":${deep},${text.slice(1)}`, text.replace('"tiny"', deep)]) {
      await write(altered);
      await expect(readArtefact(dir)).rejects.toThrow('it is nested deeper than 100 levels');
    }
  });
});

describe('an artefact that was changed since it was built is refused', () => {
  const refused = { code: 'bad-artefact', fix: 'build the model again with ditc build' };
  const changedSince = async (file: string) => {
    const error = await readArtefact(dir).catch((e: unknown) => e);
    expect(error).toMatchObject({ ...refused, where: join(dir, file) });
    expect(String(error)).toContain('not as ditc build wrote it');
  };

  it('in its manifest', async () => {
    const value = sign(manifest());
    await write({ ...value, entries: { forward: { ...value.entries.forward, macs: 1 } } });
    await changedSince('manifest.json');
    await write(JSON.stringify(value).replace('"tiny"', '"tin\\u0179"'));
    await changedSince('manifest.json');
  });

  it('in a kernel, also where it is not valid text', async () => {
    await write();
    for (const content of ['// add ', '// ad', '', Buffer.from([0xff])]) {
      await writeFile(join(dir, 'kernels/add.wgsl'), content);
      await changedSince('kernels/add.wgsl');
    }
  });

  it('in any bit of a constant', async () => {
    await write();
    const bytes = constants();
    bytes[bytes.length - 1] ^= 1;
    await writeFile(join(dir, 'constants.safetensors'), bytes);
    await changedSince('constants.safetensors');
  });

  it('by a file that the manifest has no digest of', async () => {
    await write(signed(manifest() as unknown as Manifest, new Map()));
    await expect(readArtefact(dir)).rejects.toMatchObject({ ...refused, where: join(dir, 'kernels/add.wgsl') });
  });

  it('or that carries no digest at all, as older ones do', async () => {
    await write(manifest());
    const fix = 'build the model again with ditc build';
    await expect(readArtefact(dir)).rejects.toMatchObject({ code: 'unsupported', fix });
  });

  it('but not because it is laid out in another way', async () => {
    await write(JSON.stringify(sign(manifest()), null, 7));
    expect((await readArtefact(dir)).manifest.model).toBe('tiny');
  });

  it('without waiting for a file that never ends', async () => {
    await write(undefined, { kernel: false });
    await symlink('/dev/zero', join(dir, 'kernels/add.wgsl'));
    await expect(readArtefact(dir)).rejects.toMatchObject({ code: 'bad-artefact' });
  });
});
