/**
 * Which process wrote something, in a form that others can ask about later: whether it still runs, also when its number
 * has been given to another process since, or the machine was started anew.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';

export interface ProcessId {
  /** The machine by its name, hashed as the next two. */
  readonly host: string;
  /** This start of the machine, and the name space that its process numbers are of; empty where the system does not say. */
  readonly boot: string;
  readonly space: string;
  readonly pid: number;
  /** When the process was started; empty where the system does not say. */
  readonly start: string;
}

const hashed = (text: string): string => text && createHash('sha256').update(text).digest('hex').slice(0, 6);

function orEmpty(read: () => string): string {
  try {
    return read().trim();
  } catch {
    return '';
  }
}

/** Linux has it in clock ticks since the machine's start, as word 22 of a line whose second may hold spaces. */
function startOf(pid: number): string {
  const stat = orEmpty(() => readFileSync(`/proc/${pid}/stat`, 'utf8'));
  if (stat) return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]).toString(36);
  if (process.platform === 'linux' || process.platform === 'win32') return '';
  return hashed(orEmpty(() => execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' })));
}

let own: ProcessId | undefined;

export const ownProcess = (): ProcessId =>
  (own ??= {
    host: hashed(hostname()),
    boot: hashed(orEmpty(() => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8'))),
    space: hashed(orEmpty(() => readlinkSync('/proc/self/ns/pid'))),
    pid: process.pid,
    start: startOf(process.pid),
  });

/** Whether it still runs; undefined where that cannot be told from here: on another machine, or in another container. */
export function isRunning({ host, boot, space, pid, start }: ProcessId): boolean | undefined {
  const here = ownProcess();
  const sameHost = host === here.host;
  if (boot !== here.boot) return sameHost ? false : undefined;
  if (boot ? space !== here.space : !sameHost) return undefined;
  try {
    process.kill(pid, 0);
  } catch (error) {
    // Without permission to signal it, it is there all the same.
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  return start === '' || startOf(pid) === start;
}

/** In one word, for file names. */
export const processText = ({ host, boot, space, pid, start }: ProcessId): string =>
  [host, boot, space, pid.toString(36), start].join('-');

export function parseProcess(text: string): ProcessId | undefined {
  const [, host, boot, space, pid, start] =
    /^([\da-f]{6})-([\da-f]{6}|)-([\da-f]{6}|)-([\da-z]{1,8})-([\da-z]*)$/.exec(text) ?? [];
  return host === undefined ? undefined : { host, boot, space, pid: parseInt(pid, 36), start };
}
