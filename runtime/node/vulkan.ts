/**
 * The two things Dawn's Vulkan backend takes from the process on Linux: the loader library (by its name, so one that is
 * in memory already is the one it gets) and the drivers (by environment variables, read whenever an instance is made).
 *
 * Both can be decided per process without a child: measured with Dawn 0.6.2, a GPU object made after a failed one, or
 * with other drivers than one made before, sees what was set for it.
 */
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { lavapipeVariables } from './lavapipe.ts';
import type { EmbeddedGpu } from './swiftshader.ts';

/** dlopen's flag to keep a library for good. Not in os.constants; the value is that of glibc and musl alike. */
const RTLD_NODELETE = 0x1000;

let pinned: 'system' | 'embedded' | null = null;

/** Which loader is in this process, if one was pinned. */
export function pinnedLoader(): 'system' | 'embedded' | null {
  return pinned;
}

/** Loads the system's `libvulkan.so.1` for good; null on success, else why not. Quieter than Dawn's own attempt. */
export function pinSystemLoader(): string | null {
  return pinned ? null : pin('libvulkan.so.1', 'system');
}

/** Loads the embedded loader for good, unless one is in the process already: either serves either driver. */
export function pinEmbeddedLoader(gpu: EmbeddedGpu): string | null {
  return pinned ? null : pin(gpu.loader, 'embedded');
}

function pin(file: string, which: 'system' | 'embedded'): string | null {
  try {
    // Node has one way to dlopen, made for addons. It fails on any other library, after loading it, and then closes
    // it again: NODELETE is what keeps it in memory (without it Node 20.20 leaves nothing behind).
    process.dlopen(
      { exports: {} },
      file,
      os.constants.dlopen.RTLD_NOW | os.constants.dlopen.RTLD_GLOBAL | RTLD_NODELETE,
    );
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    if (!message.includes('did not self-register')) return message;
  }
  pinned = which;
  return null;
}

/** The variables that replace the loader's search for drivers: new name, and the one of loaders before 1.3.207. */
const DRIVER_VARIABLES = ['VK_DRIVER_FILES', 'VK_ICD_FILENAMES'];

/**
 * Where a driver may lie that no loader searches: NVIDIA's container toolkit mounts its own there. Given to the loader
 * beside what it finds itself.
 */
const UNSEARCHED = ['/usr/local/nvidia/share/vulkan/icd.d/nvidia_icd.json'];

/** Runs `make` while the loader sees exactly the driver of `manifest`. See {@link withEnv}. */
export function withDriver<T>(manifest: string, make: () => T): T {
  return withEnv(Object.fromEntries(DRIVER_VARIABLES.map((name) => [name, manifest])), make);
}

/** Runs `make` while the loader sees the machine's drivers. See {@link withEnv}. */
export function withSystemDrivers<T>(make: () => T): T {
  const added = [...split(process.env.VK_ADD_DRIVER_FILES), ...UNSEARCHED.filter((file) => fs.existsSync(file))];
  const drivers: Record<string, string> = added.length ? { VK_ADD_DRIVER_FILES: added.join(path.delimiter) } : {};
  return withEnv({ ...drivers, ...lavapipeVariables() }, make);
}

/**
 * The environment is put back before this returns, so `make` must create its instance synchronously (Dawn's
 * requestAdapter does), and neither a child process nor a later GPU object inherits it.
 */
function withEnv<T>(variables: Record<string, string>, make: () => T): T {
  const before = Object.keys(variables).map((name) => [name, process.env[name]] as const);
  Object.assign(process.env, variables);
  try {
    return make();
  } finally {
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  }
}

/**
 * The driver manifests a Vulkan loader would find here. An empty list means that asking Dawn is in vain (and noisy).
 * The folders are the loader's documented ones and NixOS's.
 */
export function driverManifests(env: NodeJS.ProcessEnv = process.env): string[] {
  const existing = (files: string[]) => files.filter((file) => fs.existsSync(file));
  const only = DRIVER_VARIABLES.flatMap((name) => split(env[name]));
  if (only.length) return [...new Set(existing(only))];
  const roots = [
    env.XDG_CONFIG_HOME || home('.config'),
    ...(split(env.XDG_CONFIG_DIRS).length ? split(env.XDG_CONFIG_DIRS) : ['/etc/xdg']),
    '/usr/local/etc',
    '/etc',
    env.XDG_DATA_HOME || home('.local/share'),
    ...split(env.XDG_DATA_DIRS),
    '/usr/local/share',
    '/usr/share',
    '/run/opengl-driver/share',
  ];
  const found = roots.flatMap((root) => jsonFiles(path.join(root, 'vulkan', 'icd.d')));
  return [...new Set([...found, ...existing([...split(env.VK_ADD_DRIVER_FILES), ...UNSEARCHED])])];
}

function home(folder: string): string {
  try {
    return path.join(os.homedir(), folder);
  } catch {
    // A user id without a home, as in `docker run --user`.
    return path.join('/', folder);
  }
}

function split(list: string | undefined): string[] {
  return (list ?? '').split(path.delimiter).filter((part) => part !== '');
}

function jsonFiles(folder: string): string[] {
  try {
    return fs
      .readdirSync(folder)
      .filter((name) => name.endsWith('.json'))
      .sort()
      .map((name) => path.join(folder, name));
  } catch {
    return [];
  }
}

/** Whether the kernel shows a graphics device: then a software adapter alone means that its driver is missing. */
export function graphicsDevices(): string[] {
  const nodes = ['/dev/nvidia0', '/dev/nvidiactl', '/dev/dxg', '/dev/kfd'].filter((node) => fs.existsSync(node));
  try {
    for (const name of fs.readdirSync('/dev/dri')) if (name.startsWith('renderD')) nodes.push(`/dev/dri/${name}`);
  } catch {
    // No /dev/dri: no such device.
  }
  return nodes;
}
