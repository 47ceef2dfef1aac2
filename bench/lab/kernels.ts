/** The kernels that a command is about: of a model, of a folder that was built, or a file each. */
import { readFileSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Manifest } from '../../compiler/emit/artefact.ts';
import { compile, type DeviceSpec, type Precision } from '../../library/compiler.ts';

export interface LabKernel {
  readonly name: string;
  readonly wgsl: string;
  /** Of a model's: dispatches, and what these multiply together. */
  readonly uses?: number;
  readonly macs?: number;
  /** What a workgroup computes and how, in words. */
  readonly plan?: string;
}

export interface Building {
  readonly device: string | DeviceSpec;
  readonly entry?: readonly string[];
  readonly batch: number;
  readonly dtype: Precision;
}

/** The kernels of a path; models are compiled for the device. */
export async function kernelsOf(path: string, building: Building): Promise<LabKernel[]> {
  if (path.endsWith('.wgsl')) return [{ name: basename(path, '.wgsl'), wgsl: readFileSync(path, 'utf8') }];
  if (statSync(path).isDirectory()) {
    const manifest = JSON.parse(readFileSync(join(path, 'manifest.json'), 'utf8')) as Manifest;
    return used(manifest, building.entry, (name) => readFileSync(join(path, manifest.kernels[name].file), 'utf8'));
  }
  const { device, entry: entries, batch, dtype } = building;
  const { manifest, wgsl } = await compile(path, { entries, batch, dtype, device });
  return used(manifest, entries, (name) => wgsl.get(name)!);
}

/** A manifest's kernels with their dispatches, those first that multiply most. */
function used(
  { entries, kernels }: Manifest,
  wanted: readonly string[] | undefined,
  textOf: (name: string) => string,
): LabKernel[] {
  const dispatches = Object.entries(entries).flatMap(([name, entry]) =>
    !wanted || wanted.includes(name) ? entry.dispatches : [],
  );
  const names = [...new Set(dispatches.map(({ kernel }) => kernel))];
  const found = names.map((name) => {
    const own = dispatches.filter(({ kernel }) => kernel === name);
    const macs = own.reduce((sum, dispatch) => sum + dispatch.macs, 0);
    return { name, wgsl: textOf(name), uses: own.length, macs, plan: String(kernels[name].plan.family) };
  });
  return found.sort((a, b) => b.macs - a.macs);
}
