/**
 * Dawn as Node loads it: the toggles of each profile, the GPU objects, and the list of adapters Dawn sees.
 * Loads `webgpu` lazily, so a command that needs no GPU never pays for it.
 */
import { createRequire } from 'node:module';
import type { Profile } from '../device.ts';

/**
 * Wanted in every profile: the first allows experimental features, the next two open f16 and tensor cores on NVIDIA. By the last, Tint
 * clamps no index that it can prove to be inside: drivers then join loads (on RDNA 3, 16 of 64 bits become 8 of 128, and 51 of
 * the 142 instructions of a product's loop go).
 */
const ALWAYS = [
  'allow_unsafe_apis',
  'use_vulkan_memory_model',
  'vulkan_enable_f16_on_nvidia',
  'enable_integer_range_analysis_in_robustness',
];

const ENABLED: Record<Profile, string[]> = {
  safe: [],
  // What a plan that passed the verifier and a validated run can do without. Fresh buffers are still zeroed: optimiser
  // state relies on it. An unbound binding aborts the process here, so tests never use this profile.
  fast: ['skip_validation', 'disable_robustness', 'disable_workgroup_init', 'disable_polyfills_on_integer_div_and_mod'],
  debug: ['use_user_defined_labels_in_backend', 'disable_symbol_renaming', 'enable_immediate_error_handling'],
};

/** Quantised timestamps (100 µs) protect a web page's users from each other; here they only blur a profile. */
const DISABLED = ['timestamp_quantization'];

/** The `create([...])` flags of a profile. */
export function dawnFlags(profile: Profile): string[] {
  return [
    `enable-dawn-features=${[...ALWAYS, ...ENABLED[profile]].join(',')}`,
    `disable-dawn-features=${DISABLED.join(',')}`,
  ];
}

/**
 * Every GPU object made, for as long as the process lives. Dawn 0.6.2 aborts or segfaults when one is collected while
 * something made from it still has an event to deliver, a destroyed device included (measured: 60 rounds of open and
 * destroy with a garbage collection in each crashed in 3 of 3 runs, none with the object kept). Keeping one does not
 * keep Node running, and each gives any number of adapters, so equal requests share one.
 */
const made = new Map<string, GPU>();

/**
 * A GPU object for a profile. `drivers` says which drivers its first requestAdapter will meet, where that is not up to
 * the environment alone: Dawn looks for drivers once per object.
 */
export async function createGpu(profile: Profile, flags: string[] = [], drivers = 'installed'): Promise<GPU> {
  const dawn = await import('webgpu');
  // The constants (GPUBufferUsage, GPUMapMode, …) are globals in a page; the runtime relies on them being so here too.
  for (const [name, value] of Object.entries(dawn.globals)) {
    if (!(name in globalThis)) Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
  }
  const options = [...dawnFlags(profile), ...flags];
  const { VK_DRIVER_FILES, VK_ICD_FILENAMES, VK_ADD_DRIVER_FILES } = process.env;
  const key = JSON.stringify([options, drivers, VK_DRIVER_FILES, VK_ICD_FILENAMES, VK_ADD_DRIVER_FILES]);
  const gpu = made.get(key) ?? dawn.create(options);
  made.set(key, gpu);
  return gpu;
}

/** One adapter as Dawn lists it: `{ backend: 'vulkan', name: 'llvmpipe (LLVM 15.0.6, 256 bits)' }`. */
export interface ListedAdapter {
  backend: string;
  name: string;
}

/**
 * Every adapter Dawn sees with the drivers of the moment. WebGPU has no such call, but Dawn's refusal of an adapter name
 * that cannot exist lists the ones that do. `around` sets up the environment for that one call.
 */
export async function listAdapters(around: <T>(ask: () => T) => T = (ask) => ask()): Promise<ListedAdapter[]> {
  const gpu = await createGpu('safe', ['adapter=no adapter has this name']);
  try {
    await around(() => gpu.requestAdapter());
    return [];
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    return [...text.matchAll(/backend: '([^']*)', name: '([^\n]*)'/g)].map(([, backend, name]) => ({ backend, name }));
  }
}

/** The version of the `webgpu` package, which pins Dawn's own. */
export function dawnVersion(): string {
  return (createRequire(import.meta.url)('webgpu/package.json') as { version: string }).version;
}
