import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
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

async function write(value: unknown = manifest(), parts: { kernel?: boolean; constants?: boolean } = {}) {
  await writeFile(join(dir, 'manifest.json'), typeof value === 'string' ? value : JSON.stringify(value));
  if (parts.kernel !== false) await writeFile(join(dir, 'kernels/add.wgsl'), '// add');
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
      await write(broken);
      const error = await readArtefact(dir).catch((e: unknown) => e);
      expect(error).toMatchObject({ code: 'bad-artefact', where: join(dir, 'manifest.json') });
      expect(String(error)).toContain(message);
    }
  });

  it('names missing files and tensors, and reads no file outside the folder', async () => {
    await write(manifest(), { kernel: false });
    await expect(readArtefact(dir)).rejects.toThrow(/add\.wgsl: kernel add cannot be read: ENOENT/);
    await rm(join(dir, 'constants.safetensors'));
    await write(manifest(), { constants: false });
    await expect(readArtefact(dir)).rejects.toThrow(/constants\.safetensors: cannot open the file/);
    const other = manifest();
    other.constants[0].shape = [5];
    await write(other);
    await expect(readArtefact(dir)).rejects.toThrow('tensor constant.0 must be [5]: it is [4]');
    const outside = manifest();
    outside.kernels.add.file = 'kernels/../../secret.wgsl';
    await write(outside);
    await expect(readArtefact(dir)).rejects.toThrow('it must be kernels/NAME.wgsl');
  });
});
