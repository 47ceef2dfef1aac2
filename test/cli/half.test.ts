/** `--dtype f16` on the command line: what is stored how, what is refused, and that results stay near. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Manifest } from '../../compiler/emit/artefact.ts';
import { encodeNpy, parseNpy } from '../../runtime/checkpoint/npy.ts';
import { findAdapter } from '../../runtime/node/adapter.ts';
import { scratchFolder } from '../compiler/frontend/scratch.ts';
import { relativeError } from '../helpers/relative-error.ts';
import { ditc } from './cli.ts';

const folder = scratchFolder();

/** Odd sizes: tensors of f16 that do not fill whole words. */
const MLP = `import { defineModel, gelu } from 'ditc/dsl';

export default defineModel({
  config: {},
  entries: {
    forward(e) {
      const x = e.input('x', [e.batch, 7]);
      const h = gelu(e.params.linear('fc1', x, 13));
      return { out: e.params.linear('fc2', h, 5) };
    },
  },
});
`;

describe('--dtype f16', () => {
  let cwd: string;
  let hasHalf: boolean;

  beforeAll(async () => {
    cwd = folder({ 'mlp.ts': MLP });
    const x = Float32Array.from({ length: 21 }, (_, i) => Math.sin(i));
    writeFileSync(join(cwd, 'x.npy'), encodeNpy({ dtype: 'f32', shape: [3, 7], data: x }));
    const found = await findAdapter();
    hasHalf = found.spec.features.includes('shader-f16');
    found.close();
  });

  it('builds weights and what products read as f16, inputs and outputs as f32', async () => {
    const { code, err } = await ditc(['build', 'mlp.ts', '--dtype', 'f16', '--out', 'built'], cwd);
    expect({ code, err }).toEqual({ code: 0, err: '' });
    const manifest = JSON.parse(readFileSync(join(cwd, 'built/manifest.json'), 'utf8')) as Manifest;
    expect(manifest.params.map(({ name, dtype }) => `${name} ${dtype}`)).toEqual([
      'fc1.weight f16',
      'fc1.bias f32',
      'fc2.weight f16',
      'fc2.bias f32',
    ]);
    const { inputs, outputs, dispatches } = manifest.entries.forward;
    expect([...inputs, ...outputs].map(({ dtype }) => dtype)).toEqual(['f32', 'f32']);
    expect(dispatches.map(({ type }) => type)).toEqual(['f16[1,13]', 'f32[1,5]']);
    for (const { features } of Object.values(manifest.kernels)) expect(features).toContain('shader-f16');
  });

  it('prints the graph after the pass', async () => {
    const { out } = await ditc(
      ['build', 'mlp.ts', '--dtype', 'f16', '--out', 'printed', '--print-ir=lower-precision'],
      cwd,
    );
    expect(out).toMatch(/linear .* \{dtype = "f32"\}/);
    const f32 = await ditc(['build', 'mlp.ts', '--out', 'printed', '--print-ir=lower-precision'], cwd);
    expect(f32).toMatchObject({ code: 2, out: '' });
  });

  it('is refused for a device without f16, before anything is written', async () => {
    const args = ['build', 'mlp.ts', '--dtype', 'f16', '--device', 'swiftshader', '--out', 'none'];
    const { code, out, err } = await ditc(args, cwd);
    expect({ code, out }).toEqual({ code: 1, out: '' });
    expect(err).toMatch(/swiftshader has no f16/);
    expect(err).toMatch(/shader-f16/);
    expect(err).toMatch(/fix: leave --dtype f16 out, or use a device with shader-f16/);
  });

  it('is told with the other types where it is mistyped, and refused for what is built already', async () => {
    const wrong = await ditc(['build', 'mlp.ts', '--dtype', 'bf16'], cwd);
    expect(wrong).toMatchObject({ code: 2, out: '' });
    expect(wrong.err).toContain('use f32 or f16');
    const args = ['run', 'built', '--entry', 'forward', '--dtype', 'f16', '--input', 'x=x.npy', '--out', 'o'];
    const built = await ditc(args, cwd);
    expect(built).toMatchObject({ code: 2, out: '' });
    expect(built.err).toContain('fix: build it with --dtype');
  });

  it('runs near the f32 result, and each kernel agrees with the reference', async () => {
    const run = (out: string, ...more: string[]) =>
      ditc(['run', 'mlp.ts', '--entry', 'forward', '--batch', '3', '--input', 'x=x.npy', '--out', out, ...more], cwd);
    const half = await run('half', '--dtype', 'f16');
    if (!hasHalf) {
      expect(half).toMatchObject({ code: 1, out: '' });
      return expect(half.err).toMatch(/has no f16/);
    }
    expect(half).toMatchObject({ code: 0 });
    expect(await run('full')).toMatchObject({ code: 0 });
    const [got, want] = ['half', 'full'].map((name) => parseNpy(readFileSync(join(cwd, name, 'out.npy')), name));
    expect(got.dtype).toBe('f32');
    const error = relativeError(got.data as Float32Array, want.data as Float32Array);
    expect(error).toBeLessThan(5e-3);
    expect(error).toBeGreaterThan(1e-6);
    const { code, out } = await ditc(['verify', 'mlp.ts', '--dtype', 'f16', '--batch', '3', '--all'], cwd);
    expect(code).toBe(0);
    expect(out).toContain('2 of 2 kernels agree');
  });
});
