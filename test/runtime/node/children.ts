/** Starts the child processes of the adapter tests and says what this machine lacks. */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { DeviceSpec } from '../../../runtime/device.ts';
import type { SelfTest } from '../../../runtime/node/selftest.ts';

/** What adapter-child.ts prints. */
export interface ChildReport {
  spec: DeviceSpec;
  why: string[];
  tests: SelfTest[];
  errors: string[];
  environmentKept: boolean;
}

export interface ChildExit {
  code: number | null;
  signal: NodeJS.Signals | null;
  seconds: number;
  stdout: string;
  stderr: string;
}

const CHILD = fileURLToPath(new URL('./adapter-child.ts', import.meta.url));
const ROOT = fileURLToPath(new URL('../../..', import.meta.url));

/** The command line of adapter-child.ts. */
export function childCommand(modes: string[] = []): string[] {
  return [process.execPath, '--expose-gc', '--import', 'tsx', CHILD, ...modes];
}

/** Runs a command; `undefined` in `env` removes a variable. Killed after a minute, so a hang fails and does not block. */
export function start(command: string[], env: Record<string, string | undefined> = {}): Promise<ChildExit> {
  const begin = performance.now();
  const child = spawn(command[0], command.slice(1), { cwd: ROOT, env: { ...process.env, ...env }, timeout: 60_000 });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (data) => (stdout += data));
  child.stderr.on('data', (data) => (stderr += data));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) =>
      resolve({ code, signal, seconds: (performance.now() - begin) / 1000, stdout, stderr }),
    );
  });
}

/** Runs adapter-child.ts and reads its report; throws with everything it said when it did not end cleanly. */
export async function runChild(
  env: Record<string, string | undefined>,
  modes: string[] = [],
  command = childCommand(modes),
): Promise<ChildReport & { seconds: number }> {
  const exit = await start(command, env);
  if (exit.code !== 0) throw new Error(`child ended with ${exit.code ?? exit.signal}\n${exit.stdout}\n${exit.stderr}`);
  return { ...(JSON.parse(exit.stdout) as ChildReport), seconds: exit.seconds };
}

let noLavapipe: Promise<string | null> | undefined;

/** Why lavapipe cannot be tested here, or null. Asked in a child: it must not decide this process's drivers. */
export function lavapipeMissing(): Promise<string | null> {
  noLavapipe ??= start(childCommand(), { DITC_ADAPTER: 'lavapipe' }).then(({ code, stderr }) =>
    code === 0 ? null : `no lavapipe that Dawn accepts: ${stderr.match(/RuntimeError.*/)?.[0] ?? stderr.slice(-300)}`,
  );
  return noLavapipe;
}

/** A shell prefix that hides every Vulkan library and manifest from the command after it, or why that cannot be done. */
export function withoutVulkan(): { prefix: string[] } | { missing: string } {
  const libraries = '/usr/lib/x86_64-linux-gnu';
  if (process.platform !== 'linux' || !existsSync(libraries)) return { missing: `there is no ${libraries}` };
  // In a mount namespace of its own, nothing outside changes: an overlay with the loader deleted, empty driver folders.
  const script = `set -e
    top=$(mktemp -d); mount -t tmpfs none "$top"; mkdir "$top/up" "$top/work" "$top/empty"
    mount -t overlay overlay -o lowerdir=${libraries},upperdir="$top/up",workdir="$top/work" ${libraries}
    rm -f ${libraries}/libvulkan*
    for folder in /usr/share/vulkan /etc/vulkan /usr/local/share/vulkan; do
      if [ -d $folder ]; then mount --bind "$top/empty" $folder; fi
    done
    exec "$@"`;
  const prefix = ['unshare', '--user', '--map-root-user', '--mount', 'bash', '-c', script, 'bash'];
  const probe = spawnSync(prefix[0], [...prefix.slice(1), 'true'], { encoding: 'utf8' });
  if (probe.status === 0) return { prefix };
  return { missing: `no mount namespace here (${probe.error?.message ?? probe.stderr.trim()})` };
}
