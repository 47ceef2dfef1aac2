/**
 * A GPU that is not there: Mesa's AMD driver in its mode without a device, which Dawn opens through the layer of offline-layer.c. It compiles
 * as on the real chip and runs nothing. Drivers are chosen when a process starts, so the lab's own process starts another one for it.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DeviceSpec } from '../../compiler/device.ts';
import { specFromAdapter } from '../../runtime/device.ts';
import { createGpu } from '../../runtime/node/dawn.ts';

const KIT = process.env.OFFLINE_GPU ?? join(homedir(), '.cache/offline-gpu');
const DRIVERS = ['radeon_icd.json', 'radeon_icd.x86_64.json'].map((file) => `/usr/share/vulkan/icd.d/${file}`);
/** Where the layer puts what the driver says of a pipeline. */
const STATS = 'OFFLINE_STATS';
const LISTING = 'OFFLINE_ISA';
/** What the driver says of itself at every start, of no use here. */
const NOISE = /ac_compute_device_uuid|not a conformant|artificially reduced/;

/** The generations of the chips that the driver compiles for, as `--device` names them. */
export const DEVICES: Readonly<Record<string, string>> = { navi21: 'rdna2', navi31: 'rdna3', gfx1201: 'rdna4' };

/** Whether this process was started for the chip. */
export const isOnChip = (): boolean => process.env[STATS] !== undefined;

/** Runs this command again in a process for the chip, with what it prints there, and ends as that does. */
export function onChip(gpu: string): never {
  const driver = DRIVERS.find((file) => existsSync(file));
  if (!driver || !existsSync(join(KIT, 'offline.json'))) {
    console.error('lab: the driver without a device is not set up here\n  fix: npm run lab -- setup --no-run');
    process.exit(1);
  }
  const folder = mkdtempSync(join(tmpdir(), 'ditc-lab-'));
  const env = {
    ...process.env,
    VK_DRIVER_FILES: driver,
    VK_LAYER_PATH: KIT,
    VK_INSTANCE_LAYERS: 'VK_LAYER_offline',
    RADV_FORCE_FAMILY: gpu,
    [STATS]: join(folder, 'stats'),
    [LISTING]: join(folder, 'listing'),
  };
  const again = [...process.execArgv, process.argv[1], ...process.argv.slice(2)];
  const { status, stderr } = spawnSync(process.execPath, again, { env, stdio: ['ignore', 'inherit', 'pipe'] });
  rmSync(folder, { recursive: true, force: true });
  const lines = stderr.toString().split('\n');
  process.stderr.write(
    lines
      .filter((line) => line && !NOISE.test(line))
      .map((line) => `${line}\n`)
      .join(''),
  );
  process.exit(status ?? 1);
}

/** What the driver says of one kernel: its statistics by their names there, and the assembly. */
export interface Compiled {
  readonly stats: Readonly<Record<string, number>>;
  readonly listing: string;
}

export interface Chip {
  /** As Dawn sees it. */
  readonly spec: DeviceSpec;
  /** @throws Error with the first line of what is wrong with the kernel. */
  compile(wgsl: string): Promise<Compiled>;
}

export async function openChip(): Promise<Chip> {
  const gpu = await createGpu('safe');
  const adapter = await gpu.requestAdapter();
  if (!adapter)
    throw new Error(`lab: Dawn finds no ${process.env.RADV_FORCE_FAMILY}; is that a name the driver knows?`);
  const spec = specFromAdapter(adapter, 'hardware', 'safe', 'vulkan');
  const device = await adapter.requestDevice({
    requiredFeatures: spec.features as GPUFeatureName[],
    requiredLimits: { ...spec.limits },
  });
  return { spec, compile: (wgsl) => compile(device, wgsl) };
}

async function compile(device: GPUDevice, code: string): Promise<Compiled> {
  const [stats, listing] = [process.env[STATS]!, process.env[LISTING]!];
  for (const file of [stats, listing]) rmSync(file, { force: true });
  device.pushErrorScope('validation');
  const module = device.createShaderModule({ code });
  device.createComputePipeline({ layout: 'auto', compute: { module } });
  const error = await device.popErrorScope();
  if (error) throw new Error(error.message.split('\n')[0]);
  if (!existsSync(stats)) throw new Error('the driver compiled nothing');
  return {
    stats: JSON.parse(readFileSync(stats, 'utf8').split('\n')[0]) as Record<string, number>,
    listing: readFileSync(listing, 'utf8'),
  };
}
