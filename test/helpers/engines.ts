/** The browsers that pages are tested in, headless, each on a software GPU, and kept from asking anyone but the test's own server. */
import { execFile, execFileSync, type ChildProcess } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { AdapterChoice } from '../../runtime/node/adapter.ts';
import { driverManifests } from '../../runtime/node/vulkan.ts';
import { findBrowser } from './browser.ts';

export interface Engine {
  readonly name: 'Chromium' | 'Firefox';
  /** Of its tests; where these are skipped, with why. */
  readonly title: string;
  /** What it lacks here, and what to do about it. */
  readonly missing?: string;
  /** The adapter of Node's that computes as its GPU does. */
  readonly adapter: AdapterChoice;
  /** What a page can know of its GPU's name. */
  readonly gpu: string;
  /** Opens a page, with what the browser writes kept in the folder; it is done when the process ends. */
  open(url: string, folder: string, onEnd: (error: Error | null) => void): ChildProcess;
}

/** Milliseconds after which a browser is ended whatever it does. */
export const LIMIT = 400_000;

/** Nobody listens there. Pages of this machine are not asked for through it. */
const NOWHERE = { host: '127.0.0.1', port: 9 };

/** Beside a server on this machine, without which it would look for others and for updates. */
export const CHROMIUM_FLAGS = [
  ...['--headless=new', '--no-sandbox', '--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader', '--disable-quic'],
  ...['--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  `--proxy-server=${NOWHERE.host}:${NOWHERE.port}`,
];

const FIREFOX_PREFERENCES = {
  'dom.webgpu.enabled': true,
  'dom.webgpu.workers.enabled': true,
  // Software is on it.
  'gfx.webgpu.ignore-blocklist': true,
  'network.proxy.type': 1,
  'network.proxy.http': NOWHERE.host,
  'network.proxy.http_port': NOWHERE.port,
  'network.proxy.ssl': NOWHERE.host,
  'network.proxy.ssl_port': NOWHERE.port,
  'app.update.enabled': false,
  'datareporting.policy.dataSubmissionEnabled': false,
  'browser.aboutwelcome.enabled': false,
  'browser.shell.checkDefaultBrowser': false,
  'browser.startup.homepage_override.mstone': 'ignore',
};

const run = (command: string, args: readonly string[], env: NodeJS.ProcessEnv, onEnd: (error: Error | null) => void) =>
  execFile(command, args, { env, timeout: LIMIT, maxBuffer: 2 ** 26 }, onEnd);

const titled = (name: Engine['name'], missing: string | undefined) => {
  return { name, missing, title: missing === undefined ? name : `${name} (SKIPPED: ${missing})` };
};

/** Before a test in a browser: one that is missing skips it, or fails it where all are to be there, as in the gate (.ci/run). */
export function need({ name, missing }: Engine, skip: (why: string) => void): void {
  if (missing === undefined) return;
  if (process.env.DITC_BROWSERS === 'required') throw new Error(`${name} is required: ${missing}`);
  skip(missing);
}

/** Chromium on the SwiftShader that comes with it. */
function chromium(): Engine {
  const command = findBrowser();
  return {
    ...titled('Chromium', command ? undefined : 'not installed; apt-get install chromium, or install Google’s Chrome'),
    adapter: 'embedded',
    gpu: 'google-swiftshader',
    open: (url, folder, onEnd) =>
      run(command!, [...CHROMIUM_FLAGS, `--user-data-dir=${folder}`, url], process.env, onEnd),
  };
}

/** Firefox on the machine's lavapipe, whose name it keeps to itself. */
function firefox(): Engine {
  const command = ['firefox-esr', 'firefox'].find((name) => versionOf(name).startsWith('Mozilla Firefox'));
  const lavapipe = driverManifests().find((file) => /lvp_icd/.test(file));
  const drivers = lavapipe === undefined ? {} : { VK_DRIVER_FILES: lavapipe };
  const packages = [...(command ? [] : ['firefox-esr']), ...(lavapipe ? [] : ['mesa-vulkan-drivers'])];
  const lacking = command ? 'it has no lavapipe to compute with' : 'not installed';
  return {
    ...titled('Firefox', packages.length ? `${lacking}; apt-get install ${packages.join(' ')}` : undefined),
    adapter: 'lavapipe',
    gpu: 'gpu',
    open(url, folder, onEnd) {
      const profile = join(folder, 'profile');
      mkdirSync(profile);
      const preferences = Object.entries(FIREFOX_PREFERENCES).map(
        ([name, value]) => `user_pref(${JSON.stringify(name)}, ${JSON.stringify(value)});\n`,
      );
      writeFileSync(join(profile, 'user.js'), preferences.join(''));
      const args = ['--headless', '--no-remote', '--profile', profile, url];
      // Mesa keeps what it compiled where it does for this user's other programs.
      const caches = process.env.XDG_CACHE_HOME || join(homedir(), '.cache');
      return run(command!, args, { ...process.env, ...drivers, HOME: folder, XDG_CACHE_HOME: caches }, onEnd);
    },
  };
}

export const engines = [chromium(), firefox()] as const;

function versionOf(command: string): string {
  try {
    return execFileSync(command, ['--version'], { encoding: 'utf8', stdio: 'pipe' });
  } catch {
    return '';
  }
}
