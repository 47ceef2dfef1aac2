import { readFileSync } from 'node:fs';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { DeviceSpec } from '../../../runtime/device.ts';
import { diagnose, formatDoctor, isHealthy } from '../../../runtime/node/doctor.ts';
import type { DoctorReport } from '../../../runtime/node/doctor.ts';

afterEach(() => vi.unstubAllEnvs());

/** A report as of a machine with nothing but SwiftShader. */
function reportOf(selfTest: DoctorReport['selfTest']): DoctorReport {
  const file = new URL('../../../compiler/specs/swiftshader.json', import.meta.url);
  return {
    ...{ node: 'v20', platform: 'linux-x64', cpus: 2, dawn: '0', requested: null, why: [], startupMs: 1 },
    ...{ alternatives: [], drivers: [], devices: [], advice: [] },
    adapter: JSON.parse(readFileSync(file, 'utf8')) as DeviceSpec,
    selfTest,
  };
}

describe('doctor', () => {
  it('names the adapter that programs run on, tests it and says why', async () => {
    const report = await diagnose();
    // `npm ci` brings a software GPU to linux-x64, so there is always an adapter to report on.
    expect(report.adapter, report.error).not.toBeNull();
    expect(report.selfTest).toMatchObject({ ok: true });
    expect(isHealthy(report)).toBe(true);
    const text = formatDoctor(report);
    expect(text).toContain(report.adapter!.name);
    expect(text).toContain(report.adapter!.description);
    expect(text).toMatch(/self-test +passed/);
    expect(text).toContain('Why this adapter:\n  ' + report.why[0]);
    expect(text).not.toMatch(/undefined|NaN/);
    if (report.adapter!.kind === 'software') expect(text).toContain('For hardware speed');
  });

  it('is plain JSON', async () => {
    vi.stubEnv('DITC_ADAPTER', 'null');
    const report = await diagnose();
    expect(JSON.parse(JSON.stringify(report))).toEqual(report);
    expect(report).toMatchObject({ requested: 'null', selfTest: null, adapter: { kind: 'null' } });
    expect(formatDoctor(report)).toContain('a null adapter computes nothing');
  });

  it('reports a wrong knob instead of throwing', async () => {
    vi.stubEnv('DITC_ADAPTER', 'gpu');
    const report = await diagnose();
    expect(isHealthy(report)).toBe(false);
    expect(formatDoctor(report)).toContain('error: environment variable DITC_ADAPTER: unknown value "gpu"');
  });

  it('shows matrix units as sizes and types', () => {
    const report = reportOf({ ok: true, compileMs: 1, runMs: 1 });
    expect(formatDoctor(report)).toMatch(/^tensor cores none$/m);
    const size = { M: 16, N: 8, K: 32 };
    const subgroupMatrix = [
      { componentType: 'f16', resultComponentType: 'f32', ...size },
      { componentType: 'u8', resultComponentType: 'u32', ...size },
    ];
    report.adapter = { ...report.adapter!, subgroupMatrix };
    expect(formatDoctor(report)).toMatch(/^tensor cores 16×8×32 f16→f32, 16×8×32 u8→u32$/m);
  });

  it('says so when the adapter computes wrongly', () => {
    const report = reportOf({ ok: false, compileMs: 1, runMs: 1, error: 'element 3 of 4096 is 0, not 31' });
    expect(isHealthy(report)).toBe(false);
    expect(formatDoctor(report)).toMatch(/self-test +FAILED: element 3 of 4096 is 0, not 31/);
  });
});
