/**
 * Finds the adapter that programs run on. Hardware wins whenever Dawn can reach it; then the machine's own software
 * Vulkan (lavapipe); then the SwiftShader that came with `npm ci`. `DITC_ADAPTER` overrides the choice.
 */
import { isMainThread } from 'node:worker_threads';
import { isSoftware, isSoftwareName, specFromAdapter } from '../device.ts';
import type { DeviceKind, DeviceSpec, Profile } from '../device.ts';
import { quote, RuntimeError } from '../error.ts';
import { createGpu, listAdapters } from './dawn.ts';
import type { ListedAdapter } from './dawn.ts';
import { isLavapipeAdapter, keepVectors, vectorsOf } from './lavapipe.ts';
import { embeddedUnavailable, unpackEmbedded } from './swiftshader.ts';
import { bePatient } from './patience.ts';
import {
  driverManifests,
  graphicsDevices,
  pinEmbeddedLoader,
  pinnedLoader,
  pinSystemLoader,
  withDriver,
  withSystemDrivers,
} from './vulkan.ts';

/** The values of `DITC_ADAPTER`, with what each means. */
export const ADAPTER_CHOICES = {
  auto: 'hardware if there is any, else lavapipe, else the embedded SwiftShader',
  hardware: 'a GPU, or an error',
  lavapipe: "Mesa's software Vulkan, installed on the system, or an error",
  embedded: 'the SwiftShader that comes with npm ci, or an error',
  null: 'validates kernels, computes nothing',
} as const;

/** `auto`: hardware where there is some. Otherwise what `DITC_ADAPTER` takes. */
export type AdapterChoice = keyof typeof ADAPTER_CHOICES;

/** An adapter and how it was chosen. */
export interface FoundAdapter {
  /** What it comes from; it stays in use as long as a device of it is. */
  gpu: GPU;
  /** Gives one device: `openDevice` takes it. */
  adapter: GPUAdapter;
  /** What is known of it, as `compile` takes it. */
  spec: DeviceSpec;
  /** What was tried and how the choice fell, one sentence each, in order. */
  why: string[];
  /** Ends the use of the adapter. Close the device first. */
  close(): void;
}

export interface FindOptions {
  /** Default: the environment variable `DITC_ADAPTER`, else `auto`. */
  prefer?: AdapterChoice;
  /** Default: `safe`. */
  profile?: Profile;
}

/** Reads a `DITC_ADAPTER` value; undefined and '' mean `auto`. @throws RuntimeError `bad-knob` for anything unknown. */
export function parseAdapterChoice(
  value: string | undefined,
  where = 'environment variable DITC_ADAPTER',
): AdapterChoice {
  if (value === undefined || value === '') return 'auto';
  if (Object.hasOwn(ADAPTER_CHOICES, value)) return value as AdapterChoice;
  throw new RuntimeError({
    code: 'bad-knob',
    where,
    what: `unknown value ${quote(value)}`,
    fix: `choose one of ${Object.keys(ADAPTER_CHOICES).join(', ')}`,
  });
}

/**
 * Finds an adapter; each call gives a fresh one, good for one device.
 * @throws RuntimeError `bad-knob` for an unknown choice, `no-adapter` (listing what was tried) when there is none.
 */
export async function findAdapter(options: FindOptions = {}): Promise<FoundAdapter> {
  const { prefer: asked } = options;
  const prefer =
    asked === undefined ? parseAdapterChoice(process.env.DITC_ADAPTER) : parseAdapterChoice(asked, 'device');
  const profile = options.profile ?? 'safe';
  const why: string[] = [];
  if (prefer !== 'auto') why.push(`${prefer} was asked for.`);
  const found = await search(prefer, profile, why);
  if (!found) throw noAdapter(prefer, why);
  const { gpu, adapter } = found;
  const kind: DeviceKind = prefer === 'null' ? 'null' : isSoftware(adapter.info) ? 'software' : 'hardware';
  return {
    gpu,
    adapter,
    spec: specFromAdapter(adapter, kind, profile, kind === 'null' ? 'null' : platformBackend()),
    why,
    close() {
      // Nothing to free: the adapter is the garbage collector's, the GPU object stays (dawn.ts says why).
    },
  };
}

type Pair = { gpu: GPU; adapter: GPUAdapter };

async function search(prefer: AdapterChoice, profile: Profile, why: string[]): Promise<Pair | null> {
  switch (prefer) {
    case 'null':
      return request(await createGpu(profile, ['backend=null']), why);
    case 'embedded':
      return embedded(profile, why);
    case 'auto':
      return (await installed(prefer, profile, why)) ?? (await embedded(profile, why));
    default:
      return installed(prefer, profile, why);
  }
}

/** The best adapter of the drivers on this machine, or null when none fits `prefer`. */
async function installed(
  prefer: 'auto' | 'hardware' | 'lavapipe',
  profile: Profile,
  why: string[],
): Promise<Pair | null> {
  if (process.platform === 'linux' && !prepareVulkan(why)) return null;
  const best = await requestInstalled(profile, why, []);
  if (!best) {
    why.push('The installed drivers offer no adapter that Dawn accepts (Mesa before 25 is refused).');
    return null;
  }
  const { info } = best.adapter;
  const software = isSoftware(info);
  if (prefer === 'lavapipe') {
    if (isLavapipeAdapter(info)) return chosen(best, why);
    const lavapipe = await requestInstalled(profile, [], ['adapter=llvmpipe']);
    if (!lavapipe) why.push('The installed drivers include no lavapipe that Dawn accepts.');
    return lavapipe && chosen(lavapipe, why);
  }
  if (!software) return chosen(best, why);
  // Dawn ranks a CPU above an adapter of unknown type (a virtual GPU), so software first does not mean software only.
  const hardware = prefer === 'hardware' || graphicsDevices().length > 0 ? await hardwareName() : undefined;
  const named = hardware ? await requestInstalled(profile, why, [`adapter=${hardware}`]) : null;
  if (named) return chosen(named, why);
  why.push('No installed driver offers a hardware GPU.');
  return prefer === 'hardware' ? null : chosen(best, why);
}

/** Pins a Vulkan loader when there is a driver for it to load; false (with the reason in `why`) when there is none. */
function prepareVulkan(why: string[]): boolean {
  const manifests = driverManifests();
  if (manifests.length === 0) {
    why.push('No Vulkan driver is installed (no manifest in any vulkan/icd.d folder).');
    return false;
  }
  const missing = pinSystemLoader();
  if (missing === null) return true;
  // A driver without a loader (a bare container with NVIDIA's driver mounted in): lend it the embedded one.
  why.push(`Vulkan drivers are installed but the loader is not usable (${missing}).`);
  const unavailable = tryEmbeddedLoader();
  why.push(unavailable ?? 'The loader embedded in npm stands in for it.');
  return unavailable === null;
}

function tryEmbeddedLoader(): string | null {
  try {
    return pinEmbeddedLoader(unpackEmbedded());
  } catch (error) {
    return messageOf(error);
  }
}

async function embedded(profile: Profile, why: string[]): Promise<Pair | null> {
  const unavailable = embeddedUnavailable();
  if (unavailable) {
    why.push(`${unavailable}.`);
    return null;
  }
  try {
    const files = unpackEmbedded();
    const refused = pinEmbeddedLoader(files);
    if (refused) why.push(`The embedded Vulkan loader does not load (${refused}).`);
    const gpu = await createGpu(profile, [], 'embedded');
    const found = await request(gpu, why, (ask) => withDriver(files.manifest, ask));
    if (found) return chosen(found, why);
    why.push(`The embedded SwiftShader (${files.manifest}) offers no adapter.`);
    // A worker's process.env is a copy that the Vulkan loader never sees.
    if (!isMainThread) why.push('This is a worker thread, where drivers cannot be chosen: use the main thread.');
  } catch (error) {
    why.push(`The embedded SwiftShader cannot be used (${messageOf(error)}).`);
  }
  return null;
}

async function requestInstalled(profile: Profile, why: string[], flags: string[]): Promise<Pair | null> {
  return request(await createGpu(profile, flags), why, withSystemDrivers);
}

type Around = <T>(ask: () => T) => T;

/** Asks one GPU object for its best adapter, with the environment that `around` sets up. */
async function request(gpu: GPU, why: string[], around: Around = (ask) => ask()): Promise<Pair | null> {
  try {
    const adapter = await around(() => gpu.requestAdapter({ powerPreference: 'high-performance' }));
    return adapter && { gpu, adapter };
  } catch (error) {
    why.push(`Dawn refused: ${messageOf(error)}.`);
    return null;
  }
}

/** The first listed adapter that does not compute on the CPU. */
async function hardwareName(): Promise<string | undefined> {
  const listed = await listInstalled();
  return listed.map(({ name }) => name).find((name) => !isSoftwareName(name));
}

/** Every adapter of the drivers on this machine (the embedded one is not among them). */
export async function listInstalled(): Promise<ListedAdapter[]> {
  if (process.platform === 'linux' && !prepareVulkan([])) return [];
  return listAdapters(withSystemDrivers);
}

function chosen(pair: Pair, why: string[]): Pair {
  const { info } = pair.adapter;
  if (isSoftware(info)) bePatient();
  if (isLavapipeAdapter(info)) keepVectors();
  const loader = pinnedLoader() === 'embedded' ? ', through the embedded Vulkan loader' : '';
  why.push(`Chosen: ${info.description || info.device}${loader}${isLavapipeAdapter(info) ? vectorsOf(info) : ''}.`);
  return pair;
}

function platformBackend(): string {
  return { darwin: 'metal', win32: 'd3d12' }[process.platform as string] ?? 'vulkan';
}

const FIXES: Record<AdapterChoice, string> = {
  auto: 'install the Vulkan driver of your GPU, or mesa-vulkan-drivers 25 or newer; `ditc doctor` says more',
  hardware: 'install the Vulkan driver of your GPU, or unset DITC_ADAPTER to take a software one',
  lavapipe: 'install mesa-vulkan-drivers 25 or newer, or unset DITC_ADAPTER to take what there is',
  embedded: 'unset DITC_ADAPTER to take what there is, or run `npm ci` again',
  null: 'unset DITC_ADAPTER to take what there is',
};

function noAdapter(prefer: AdapterChoice, why: string[]): RuntimeError {
  return new RuntimeError({
    code: 'no-adapter',
    what: prefer === 'auto' ? 'no WebGPU adapter on this machine' : `no adapter for DITC_ADAPTER=${prefer}`,
    why: why.join(' ').replace(/\.$/, ''),
    fix: FIXES[prefer],
  });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message.trim() : String(error);
}
