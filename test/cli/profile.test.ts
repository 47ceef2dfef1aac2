/** `ditc profile`: what was measured of each kernel adds up, and a trace shows when it took place. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pc from 'picocolors';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { profileOf } from '../../cli/profile/kernels.ts';
import { measureEntry, type EntryTimes } from '../../cli/profile/measure.ts';
import { profileText } from '../../cli/profile/text.ts';
import { compileModel } from '../../compiler/compile.ts';
import { PORTABLE } from '../../compiler/device.ts';
import type { Manifest } from '../../compiler/emit/artefact.ts';
import { defineModel, exp } from '../../compiler/dsl/index.ts';
import { findAdapter } from '../../runtime/node/adapter.ts';
import { Program } from '../../runtime/program.ts';
import { ditc, SMALL_DIT } from './cli.ts';

const folder = mkdtempSync(join(tmpdir(), 'ditc-profile-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Kernel {
  readonly kernel: string;
  readonly uses: number;
  readonly ms: number;
  readonly share: number;
  readonly macs: number;
  readonly gflops: number;
  readonly modelledMs: number;
  readonly ofRoofline?: number;
}
interface Profiled {
  readonly rates: { readonly nominal: boolean };
  readonly entries: Record<
    string,
    { run: { min: number; median: number; max: number }; rounds: number; kernelsMs: number; kernels: Kernel[] }
  >;
}

describe('ditc profile', () => {
  beforeAll(() => writeFileSync(join(folder, 'small.ts'), SMALL_DIT));

  it('measures every kernel of every entry, and writes a trace with a lane for each part of it', async () => {
    const { code, out, err } = await ditc(
      ['profile', 'small.ts', '--repeat', '2', '--trace', 't.json', '--json'],
      folder,
    );
    expect(err.split('\n').filter((line) => line.includes('—'))).toEqual([]);
    expect(code).toBe(0);
    const { entries, rates } = JSON.parse(out) as Profiled;
    expect(Object.keys(entries).sort()).toEqual(['forward', 'sampleStart', 'sampleStep']);
    for (const { run, rounds, kernelsMs, kernels } of Object.values(entries)) {
      const sum = (of: (kernel: Kernel) => number) => kernels.reduce((total, kernel) => total + of(kernel), 0);
      expect(rounds).toBe(2);
      expect(run.min).toBeGreaterThan(0);
      expect(run.max).toBeGreaterThanOrEqual(run.median);
      expect(sum(({ share }) => share)).toBeCloseTo(1, 6);
      expect(sum(({ ms }) => ms)).toBeCloseTo(kernelsMs, 6);
      for (const { ms, macs, gflops, modelledMs, ofRoofline } of kernels) {
        expect(gflops * ms * 1e6).toBeCloseTo(2 * macs, 0);
        if (!rates.nominal) expect(ofRoofline! * ms).toBeCloseTo(modelledMs, 9);
      }
      expect(kernels.map(({ ms }) => ms)).toEqual(kernels.map(({ ms }) => ms).sort((a, b) => b - a));
    }
    checkTrace(Object.values(entries).reduce((n, { kernels }) => n + kernels.reduce((m, { uses }) => m + uses, 0), 0));
  });

  function checkTrace(dispatches: number): void {
    interface Event {
      readonly name: string;
      readonly ph: string;
      readonly tid: number;
      readonly ts: number;
      readonly dur: number;
      readonly args?: { readonly name?: string };
    }
    const { traceEvents } = JSON.parse(readFileSync(join(folder, 't.json'), 'utf8')) as { traceEvents: Event[] };
    const lanes = new Map(traceEvents.filter(({ ph }) => ph === 'M').map(({ tid, args }) => [args!.name!, tid]));
    const eventsOf = (lane: string) => traceEvents.filter(({ ph, tid }) => ph === 'X' && tid === lanes.get(lane));
    expect([...lanes.keys()].slice(1)).toEqual(['CPU: kernels compile', 'upload', 'CPU: encode', 'CPU: submit', 'GPU']);
    expect(eventsOf('GPU')).toHaveLength(dispatches);
    expect(eventsOf('upload').map(({ name }) => name)).toContain('blocks.0.attn.qkv.weight');
    for (const { ts, dur } of traceEvents.filter(({ ph }) => ph === 'X')) {
      expect(ts).toBeGreaterThanOrEqual(0);
      expect(dur).toBeGreaterThanOrEqual(0);
    }
  }

  it('measures what ditc build wrote, also where nothing in it begins what an entry goes on from', async () => {
    const built = await ditc(
      ['build', 'small.ts', '--entry', 'sampleStep', '--device', 'here', '--out', 'built'],
      folder,
    );
    expect(built.code).toBe(0);
    const { code, out } = await ditc(['profile', 'built', '--entry', 'sampleStep', '--repeat', '1', '--all'], folder);
    expect(code).toBe(0);
    expect(out).toMatch(/small sampleStep {2}a run [\d.]+ ms .* kernels [\d.]+ ms · CPU [\d.]+ ms/);
    expect(await ditc(['profile', 'built', '--batch', '2'], folder)).toMatchObject({ code: 2 });
  });

  it('names an entry that is none', async () => {
    const { code, err } = await ditc(['profile', 'small.ts', '--entry', 'forwards'], folder);
    expect(code).toBe(1);
    expect(err).toContain('did you mean forward?');
  });
});

describe('a loop', () => {
  it('is of the entry that it is in: each of its kernels as often as it has turns', async () => {
    const looped = `import { defineModel, foriLoop } from 'ditc/dsl';
export default defineModel({ config: {}, entries: {
  forward: (e) => ({ y: foriLoop(3, (x) => foriLoop(5, (z) => z.matmul(x), x), e.input('x', [4, 4])) }),
} });`;
    writeFileSync(join(folder, 'looped.ts'), looped);
    const { code, out } = await ditc(
      ['profile', 'looped.ts', '--repeat', '2', '--json', '--trace', 'loop.json'],
      folder,
    );
    expect(code).toBe(0);
    const { entries } = JSON.parse(out) as Profiled;
    expect(Object.keys(entries)).toEqual(['forward']);
    const { kernels, kernelsMs } = entries.forward;
    const product = kernels.find(({ macs }) => macs > 0)!;
    expect(product).toMatchObject({ uses: 15, macs: 15 * 4 ** 3 });
    expect(kernels.reduce((sum, { ms }) => sum + ms, 0)).toBeCloseTo(kernelsMs, 6);
    const { traceEvents } = JSON.parse(readFileSync(join(folder, 'loop.json'), 'utf8')) as {
      traceEvents: { name: string; args?: { turns?: number } }[];
    };
    expect(traceEvents.filter(({ name }) => name === product.kernel).map(({ args }) => args?.turns)).toEqual([15]);
  });
});

describe('without timestamps', () => {
  it('each kernel is submitted by itself, and that is said', async () => {
    const found = await findAdapter();
    const device = await found.adapter.requestDevice();
    const model = defineModel({
      config: {},
      entries: {
        forward(e) {
          const x = e.input('x', [4, 4]);
          return { y: exp(x.matmul(x)).sum([1]) };
        },
      },
    });
    const artefact = compileModel(model, { device: PORTABLE, name: 'm', source: 'm.ts', entryOptions: { batch: 1 } });
    const program = await Program.create(device, artefact);
    try {
      const times = await measureEntry(program, 'forward', 2, () => {});
      expect(times.method).toBe('submits');
      expect(times.parts.flatMap(({ dispatches }) => dispatches.flat()).every((ms) => ms > 0)).toBe(true);
      const profile = profileOf(times, artefact.manifest, { gflops: 1, bandwidthGBs: 1, nominal: false }, false);
      expect(profileText('m forward', profile, true, { outColors: pc.createColors(false) })).toContain('no timestamps');
    } finally {
      program.close();
      device.destroy();
      found.close();
    }
  });
});

describe('what measuring costs', () => {
  const dispatch = {
    kernel: 'k',
    macs: 1e6,
    plannedMacs: 2e6,
    bytesRead: 1000,
    bytesWritten: 1000,
    source: ['m.ts:1:2'],
  };
  const manifest = {
    entries: { main: { dispatches: [dispatch, dispatch] } },
    kernels: { k: { plan: { family: 'map', workgroup: 64 } } },
  } as unknown as Manifest;
  const of = (runs: readonly number[]) => {
    const times = {
      entry: 'main',
      method: 'timestamps',
      parts: [{ entry: 'main', times: 1, dispatches: [[1, 3, 2], [4, 4, 4]] }], // prettier-ignore
      runs,
      host: [0.1],
    };
    return profileOf(
      times as unknown as EntryTimes,
      manifest,
      { gflops: 1000, bandwidthGBs: 1, nominal: false },
      false,
    );
  };

  it('is told where the kernels take longer than a run', () => {
    expect(of([5, 5, 5]).perturbed).toBe(true);
    expect(of([6, 6, 6]).perturbed).toBe(false);
  });

  it('a kernel is held against what its plan computes, padding included', () => {
    const [{ ms, modelledMs, gflops, ofRoofline }] = of([6]).kernels;
    expect({ ms, modelledMs, gflops }).toEqual({ ms: 6, modelledMs: 8e-3, gflops: (2 * 2e6) / 6e6 });
    expect(ofRoofline).toBeCloseTo(8e-3 / 6, 9);
  });
});
