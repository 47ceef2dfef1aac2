import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { DeviceSpec } from '../../../runtime/device.ts';
import { RuntimeError } from '../../../runtime/error.ts';
import { ADAPTER_CHOICES, findAdapter, parseAdapterChoice } from '../../../runtime/node/adapter.ts';
import { embeddedUnavailable } from '../../../runtime/node/swiftshader.ts';
import { childCommand, lavapipeMissing, runChild, start, withoutVulkan } from './children.ts';

const cache = mkdtempSync(join(tmpdir(), 'ditc-test-cache-'));
afterAll(() => rmSync(cache, { recursive: true, force: true }));

/** What the compiler plans for when told `--device compiler/specs/<name>.json`. */
function committedSpec(name: string): DeviceSpec {
  const file = new URL(`../../../compiler/specs/${name}.json`, import.meta.url);
  return JSON.parse(readFileSync(file, 'utf8')) as DeviceSpec;
}

describe('DITC_ADAPTER', () => {
  it('takes each choice, and auto when unset or empty', () => {
    for (const choice of Object.keys(ADAPTER_CHOICES)) expect(parseAdapterChoice(choice)).toBe(choice);
    expect(parseAdapterChoice(undefined)).toBe('auto');
    expect(parseAdapterChoice('')).toBe('auto');
  });

  it.each(['vulkan', 'Auto', 'toString', '__proto__', ' auto'])('refuses %j and lists the choices', (value) => {
    expect(() => parseAdapterChoice(value)).toThrow(/choose one of auto, hardware, lavapipe, embedded, null/);
    expect(() => parseAdapterChoice(value)).toThrow(RuntimeError);
  });

  it('is read from the environment', async () => {
    const { code, stderr } = await start(childCommand(), { DITC_ADAPTER: 'cuda' });
    expect(code).toBe(1);
    expect(stderr).toContain('environment variable DITC_ADAPTER: unknown value "cuda"');
  });
});

describe('null adapter', () => {
  it('has no computing behind it and every feature of the fragment kernels', async () => {
    const found = await findAdapter({ prefer: 'null' });
    expect(found.spec).toMatchObject({ name: 'null', kind: 'null', backend: 'null', profile: 'safe' });
    expect(found.spec.features).toContain('chromium-experimental-subgroup-matrix');
    found.close();
  });

  it('has the limits of the portable spec: those every WebGPU implementation offers', async () => {
    const found = await findAdapter({ prefer: 'null' });
    expect(committedSpec('portable').limits).toEqual(found.spec.limits);
    found.close();
  });
});

/** Opens, computes, closes, exits: the four things that fail apart in different drivers. */
function worksAndExits(adapter: 'lavapipe' | 'embedded'): void {
  it.each([['and closes'], ['error'], ['leak'], ['twice'], ['rounds']])('computes, exits clean: %s', async (mode) => {
    const report = await runChild({ DITC_ADAPTER: adapter, XDG_CACHE_HOME: cache }, [mode]);
    for (const test of report.tests) expect(test).toMatchObject({ ok: true });
    expect(report.tests).toHaveLength(mode === 'twice' ? 3 : 1);
    expect(report.errors).toEqual(mode === 'error' ? ['gpu-error', 'gpu-error', 'adapter-used'] : []);
    expect(report.spec.kind).toBe('software');
    expect(report.environmentKept).toBe(true);
    expect(report.seconds).toBeLessThan(10);
  });
}

const noLavapipe = await lavapipeMissing();
if (noLavapipe) console.warn(`SKIPPED: lavapipe tests: ${noLavapipe}`);
const avx512 = process.platform === 'linux' && /\bavx512f\b.*\bavx512vl\b/.test(readFileSync('/proc/cpuinfo', 'utf8'));
describe.skipIf(noLavapipe !== null)('lavapipe', () => {
  worksAndExits('lavapipe');

  it('is named in the spec, with what the compiler plans by', async () => {
    const { spec, why } = await runChild({ DITC_ADAPTER: 'lavapipe', LP_NATIVE_VECTOR_WIDTH: '256' });
    expect(spec.name).toBe('lavapipe');
    expect(spec.subgroups).toEqual(committedSpec('lavapipe').subgroups);
    expect(why.at(-1)).toContain('llvmpipe');
    // The version in the description and what a newer Mesa adds may differ from the recorded machine's.
    expect(Object.keys(spec)).toEqual(Object.keys(committedSpec('lavapipe')));
    expect(spec.features).toEqual(expect.arrayContaining(['shader-f16', 'subgroups', 'timestamp-query']));
  });

  // Mesa's own cache of shaders would give the second width what it compiled for the first.
  it.each(['128', '512'].filter((width) => width === '128' || avx512))(
    'runs vectors of %s bits right after 256, and keeps its shaders apart',
    async (width) => {
      const env = { DITC_ADAPTER: 'lavapipe', XDG_CACHE_HOME: cache, MESA_SHADER_CACHE_DIR: undefined };
      await runChild({ ...env, LP_NATIVE_VECTOR_WIDTH: '256' });
      const { spec, tests } = await runChild({ ...env, LP_NATIVE_VECTOR_WIDTH: width });
      expect(spec.subgroups).toEqual({ min: Number(width) / 32, max: Number(width) / 32 });
      expect(tests).toMatchObject([{ ok: true }]);
    },
  );

  it.skipIf(!avx512)('has vectors of 512 bits by itself where the CPU has them', async () => {
    const { spec, why, tests } = await runChild({ DITC_ADAPTER: 'lavapipe', LP_NATIVE_VECTOR_WIDTH: undefined });
    expect(spec.subgroups).toEqual({ min: 16, max: 16 });
    expect({ ...spec, description: '' }).toEqual({ ...committedSpec('lavapipe-512'), description: '' });
    expect(why.at(-1)).toContain('vectors of 512 bits (the CPU has AVX-512)');
    expect(tests).toMatchObject([{ ok: true }]);
  });
});

const noEmbedded = embeddedUnavailable();
if (noEmbedded) console.warn(`SKIPPED: embedded adapter tests: ${noEmbedded}`);
describe.skipIf(noEmbedded !== null)('embedded SwiftShader', () => {
  worksAndExits('embedded');

  it('is the device of specs/swiftshader.json, to the letter', async () => {
    const { spec } = await runChild({ DITC_ADAPTER: 'embedded', XDG_CACHE_HOME: cache });
    expect(spec).toEqual(committedSpec('swiftshader'));
    expect(JSON.stringify(spec)).toBe(JSON.stringify(committedSpec('swiftshader')));
  });

  it.each([
    ['drivers that are not there', '/nonexistent.json'],
    ['a driver that does not load', join(cache, 'broken.json')],
  ])('is what auto falls back to: %s', async (_, file) => {
    const icd = { library_path: '/nonexistent.so', api_version: '1.3.0' };
    if (!file.startsWith('/nonexistent'))
      writeFileSync(file, JSON.stringify({ file_format_version: '1.0.0', ICD: icd }));
    const env = { DITC_ADAPTER: undefined, VK_DRIVER_FILES: file, VK_ICD_FILENAMES: file, XDG_CACHE_HOME: cache };
    const report = await runChild(env);
    expect(report.spec.name).toBe('swiftshader');
    expect(report.tests[0].ok).toBe(true);
    expect(report.why.length).toBeGreaterThan(1);
  });

  const bare = withoutVulkan();
  if ('missing' in bare) console.warn(`SKIPPED: machine without Vulkan: ${bare.missing}`);
  it.skipIf('missing' in bare)('is what auto uses on a machine without any Vulkan, quietly', async () => {
    const command = [...(bare as { prefix: string[] }).prefix, ...childCommand(['and closes'])];
    const exit = await start(command, { DITC_ADAPTER: undefined, XDG_CACHE_HOME: cache });
    expect(exit.code, exit.stderr).toBe(0);
    const report = JSON.parse(exit.stdout) as { spec: DeviceSpec; tests: { ok: boolean }[] };
    expect(report.spec.name).toBe('swiftshader');
    expect(report.tests[0].ok).toBe(true);
    expect(exit.stderr).toBe('');
  });

  it('is not taken when hardware was asked for', async ({ skip }) => {
    const env = {
      DITC_ADAPTER: 'hardware',
      VK_DRIVER_FILES: '/nonexistent.json',
      VK_ICD_FILENAMES: '/nonexistent.json',
    };
    if (process.platform !== 'linux') skip('the drivers of other systems cannot be hidden');
    const { code, stderr } = await start(childCommand(), env);
    expect(code).toBe(1);
    expect(stderr).toContain('no adapter for DITC_ADAPTER=hardware');
  });
});
