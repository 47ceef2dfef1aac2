/**
 * What `ditc doctor` says: which adapter programs run on, why that one, whether it computes right, and how to get a
 * faster one. {@link diagnose} never throws for a machine that lacks something: what is missing is the report.
 */
import * as os from 'node:os';
import { isLavapipe, openDevice } from '../device.ts';
import type { DeviceSpec, Profile, SubgroupMatrixShape } from '../device.ts';
import { findAdapter, listInstalled } from './adapter.ts';
import { dawnVersion } from './dawn.ts';
import { selfTest } from './selftest.ts';
import type { SelfTest } from './selftest.ts';
import { embeddedUnavailable } from './swiftshader.ts';
import { driverManifests, graphicsDevices } from './vulkan.ts';

/** Plain JSON, for `ditc doctor --json`. */
export interface DoctorReport {
  node: string;
  platform: string;
  cpus: number;
  /** Version of npm `webgpu`, which pins Dawn. */
  dawn: string;
  /** The value of DITC_ADAPTER, or null when unset. */
  requested: string | null;
  /** The adapter that programs run on; null when none was found (then `error` says why). */
  adapter: DeviceSpec | null;
  why: string[];
  /** Milliseconds from nothing to an open device. */
  startupMs: number;
  /** On a null adapter nothing can be computed, so no test was made. */
  selfTest: SelfTest | null;
  /** What else could be chosen, each with the setting that does it. */
  alternatives: { name: string; how: string }[];
  /** Driver manifests and device nodes found: what a bug report needs. */
  drivers: string[];
  devices: string[];
  advice: string[];
  error?: string;
}

/** Looks at the machine, opens the adapter that programs would use and runs a kernel on it. */
export async function diagnose(options: { profile?: Profile } = {}): Promise<DoctorReport> {
  const report: DoctorReport = {
    node: process.version,
    platform: `${process.platform}-${process.arch}`,
    cpus: os.availableParallelism(),
    dawn: dawnVersion(),
    requested: process.env.DITC_ADAPTER || null,
    adapter: null,
    why: [],
    startupMs: 0,
    selfTest: null,
    alternatives: [],
    drivers: process.platform === 'linux' ? driverManifests() : [],
    devices: process.platform === 'linux' ? graphicsDevices() : [],
    advice: [],
  };
  try {
    await tryAdapter(report, options.profile);
  } catch (error) {
    report.error = error instanceof Error ? error.message : String(error);
  }
  report.alternatives = await alternatives(report.adapter);
  report.advice = advice(report);
  return report;
}

/** Whether programs would run, and run right. */
export function isHealthy(report: DoctorReport): boolean {
  return report.error === undefined && report.adapter !== null && report.selfTest?.ok !== false;
}

async function tryAdapter(report: DoctorReport, profile?: Profile): Promise<void> {
  const start = performance.now();
  const found = await findAdapter({ profile });
  try {
    report.adapter = found.spec;
    report.why = found.why;
    const open = await openDevice(found.adapter, found.spec);
    report.startupMs = performance.now() - start;
    try {
      if (found.spec.kind !== 'null') report.selfTest = await selfTest(open);
    } finally {
      open.close();
    }
  } finally {
    found.close();
  }
}

async function alternatives(used: DeviceSpec | null): Promise<DoctorReport['alternatives']> {
  const others: DoctorReport['alternatives'] = [];
  for (const { name } of await listInstalled()) {
    const llvmpipe = /llvmpipe/i.test(name);
    if (llvmpipe && !isLavapipe(used)) others.push({ name, how: 'DITC_ADAPTER=lavapipe' });
    // Hardware comes first by itself: it is an alternative only to something that was asked for.
    if (!llvmpipe && used?.kind !== 'hardware') others.push({ name, how: 'DITC_ADAPTER=hardware' });
  }
  if (used?.name !== 'swiftshader' && embeddedUnavailable() === null) {
    others.push({ name: 'SwiftShader embedded in npm', how: 'DITC_ADAPTER=embedded' });
  }
  if (used?.kind !== 'null') others.push({ name: 'null (checks kernels, computes nothing)', how: 'DITC_ADAPTER=null' });
  return others;
}

function advice(report: DoctorReport): string[] {
  const { adapter, selfTest: test } = report;
  const lines: string[] = [];
  if (test && !test.ok) {
    lines.push('The self-test failed: results of this adapter cannot be trusted. Update its driver or choose another.');
  }
  if (adapter?.kind === 'hardware') return lines;
  const linux = process.platform === 'linux';
  if (linux && report.devices.length) {
    const nodes = report.devices.join(' ');
    lines.push(`A graphics device is present (${nodes}): install its vendor's Vulkan driver to use it.`);
  } else {
    lines.push(
      linux
        ? 'For hardware speed, run on a machine with a GPU and its vendor’s Vulkan driver (NVIDIA: the driver package; AMD and Intel: mesa-vulkan-drivers).'
        : 'For hardware speed, run on a machine with a GPU that its operating system’s driver supports.',
    );
  }
  if (linux && !isLavapipe(adapter)) {
    lines.push(
      'A software GPU several times faster than SwiftShader is Mesa 25 or newer: `apt-get install mesa-vulkan-drivers` (Debian 12: `apt-get install -t bookworm-backports mesa-vulkan-drivers`).',
    );
  }
  if (report.requested && report.requested !== 'auto')
    lines.push(`DITC_ADAPTER=${report.requested} is set: unset it for the automatic choice.`);
  return lines;
}

/** The report as text for a terminal. */
export function formatDoctor(report: DoctorReport): string {
  const { adapter, selfTest: test } = report;
  const rows: [string, string][] = [
    ['node', `${report.node} on ${report.platform}, ${report.cpus} CPUs`],
    ['webgpu', `${report.dawn} (Dawn)`],
  ];
  if (adapter) {
    const { subgroups, limits } = adapter;
    rows.push(
      ['adapter', `${adapter.name} (${adapter.kind}, ${adapter.backend}, profile ${adapter.profile})`],
      ['', adapter.description],
      ['features', adapter.features.join(', ') || 'none of the optional ones'],
      ['subgroups', subgroups ? sizes(subgroups) : 'not offered'],
      ['tensor cores', adapter.subgroupMatrix.map(matrixText).join(', ') || 'none'],
      [
        'limits',
        `buffer ${bytes(limits.maxBufferSize)}, storage binding ${bytes(limits.maxStorageBufferBindingSize)} × ${limits.maxStorageBuffersPerShaderStage},`,
      ],
      [
        '',
        `workgroup ${limits.maxComputeInvocationsPerWorkgroup} threads, ${bytes(limits.maxComputeWorkgroupStorageSize)}`,
      ],
      ['rates', ratesText(adapter)],
      ['start-up', `${report.startupMs.toFixed(0)} ms`],
      ['self-test', selfTestText(test)],
    );
  }
  const label = (text: string) => text.padEnd(13);
  const lines = rows.map(([name, value]) => label(name) + value);
  if (report.error) lines.push('', `error: ${report.error}`);
  if (report.why.length) lines.push('', 'Why this adapter:', ...report.why.map((line) => `  ${line}`));
  if (report.alternatives.length) {
    lines.push('', 'Others:', ...report.alternatives.map(({ name, how }) => `  ${how}  ${name}`));
  }
  if (report.advice.length) lines.push('', 'Advice:', ...report.advice.map((line) => `  ${line}`));
  return lines.join('\n') + '\n';
}

const ratesText = ({ gflops, bandwidthGBs, sources }: DeviceSpec): string =>
  gflops && bandwidthGBs
    ? `${gflops} GFLOP/s, ${bandwidthGBs} GB/s (${sources.rates ?? 'of unknown source'})`
    : 'not known';

const matrixText = ({ M, N, K, componentType, resultComponentType }: SubgroupMatrixShape): string =>
  `${M}×${N}×${K} ${componentType}→${resultComponentType}`;

function selfTestText(test: SelfTest | null): string {
  if (!test) return 'not run: a null adapter computes nothing';
  if (!test.ok) return `FAILED: ${test.error ?? 'no reason given'}`;
  return `passed (compile ${test.compileMs.toFixed(1)} ms, run and read back ${test.runMs.toFixed(1)} ms)`;
}

function sizes({ min, max }: { min: number; max: number }): string {
  return min === max ? `${min} lanes` : `${min} to ${max} lanes`;
}

function bytes(count: number): string {
  for (const [unit, size] of [
    ['GiB', 2 ** 30],
    ['MiB', 2 ** 20],
    ['KiB', 2 ** 10],
  ] as const) {
    // Dawn's largest limits are one byte or four short of the round number.
    if (count >= size - 4) return `${Math.round((count / size) * 10) / 10} ${unit}`;
  }
  return `${count} B`;
}
