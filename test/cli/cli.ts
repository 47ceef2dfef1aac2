/** Runs the `ditc` command: in this process, which keeps the compiler warm, or as a user does. */
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';
import pc from 'picocolors';
import { main } from '../../cli/main.ts';

export { SMALL_DIT, TINY } from './models.ts';

export const BIN = fileURLToPath(new URL('../../cli/ditc.mjs', import.meta.url));
export const REPO = fileURLToPath(new URL('../..', import.meta.url));

export interface Result {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** `ditc …` in this process, in the folder `cwd`. */
export async function ditc(
  args: readonly string[],
  cwd = REPO,
  seams: Parameters<typeof main>[2] = {},
): Promise<Result> {
  const colors = pc.createColors(false);
  let [out, err] = ['', ''];
  const before = process.cwd();
  process.chdir(cwd);
  try {
    const terminal = {
      out: (text: string) => void (out += `${text}\n`),
      err: (text: string) => void (err += `${text}\n`),
      interactive: false,
      outColors: colors,
      errColors: colors,
    };
    return { code: await main(args, terminal, seams), out, err };
  } finally {
    process.chdir(before);
  }
}

/** `node cli/ditc.mjs …` as a process of its own. Its code is what a shell makes of it: 128 and the signal that ended it. */
export function spawnDitc(
  args: readonly string[],
  cwd = REPO,
  onStart?: (child: ChildProcessWithoutNullStreams) => void,
): Promise<Result> {
  const child = spawn(process.execPath, [BIN, ...args], { cwd, env: { ...process.env, NO_COLOR: '1' } });
  let [out, err] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => (out += String(chunk)));
  child.stderr.on('data', (chunk: Buffer) => (err += String(chunk)));
  onStart?.(child);
  return new Promise((resolve) =>
    child.on('close', (code, signal) => resolve({ code: code ?? 128 + constants.signals[signal!], out, err })),
  );
}
