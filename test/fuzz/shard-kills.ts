/**
 * Kills a part of a run (`kill −9`) at random moments, and goes on: no picture is drawn again or left out, and the bytes are those of a
 * run that was never killed. `npx tsx test/fuzz/shard-kills.ts --count 20 --seed 1`
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { Random } from '../../compiler/ops/index.ts';
import { BIN, SMALL_DIT } from '../cli/cli.ts';

const PICTURES = 480;
const BATCH = 4;
const BYTES = 8 * 8;
const HEADER = 128;
const ARGS = ['--num', String(2 * PICTURES), '--batch', String(BATCH), '--steps', '2', '--shard', '1/2'];

export interface Kill {
  /** Whole batches' pictures that it left. */
  readonly pictures: number;
  /** What is not as it should be in the run that follows. */
  readonly wrong?: string;
}

/** Kills so many times in one run, and goes on to its end; `onKill` hears of each. @throws Error when the result is another. */
export async function shardKills(count: number, seed: number, onKill: (kill: Kill) => void): Promise<void> {
  const cwd = mkdtempSync(join(tmpdir(), 'ditc-shards-'));
  try {
    writeFileSync(join(cwd, 'small.ts'), SMALL_DIT);
    const whole = await run(cwd, 'whole');
    if (whole.code !== 0) throw new Error(`it fails without being killed:\n${whole.err}`);
    const random = new Random(seed);
    let left = 0;
    for (let kills = 0; kills < count;) {
      // As soon as so many bytes more are there, be it amid a batch, or at any moment before the first.
      const early = random.next() < 0.2;
      const grown = left + random.int(0, 2 * BATCH * BYTES);
      const due = early ? random.uniform(0, whole.first) : Infinity;
      const { code, err } = await run(cwd, 'killed', (ms, bytes) => ms >= due || bytes > grown);
      if (code === 0) throw new Error(`the run ended after ${kills} kills: make it longer`);
      if (code !== null) throw new Error(`going on ended with ${code}:\n${err}`);
      const wrong = whatIsWrong(err, left);
      kills++;
      left = Math.max(left, bytesIn(join(cwd, 'killed')));
      onKill({ pictures: picturesOf(left), wrong });
    }
    const last = await run(cwd, 'killed');
    const wrong = last.code === 0 ? whatIsWrong(last.err, left) : `going on ended with ${last.code}:\n${last.err}`;
    if (wrong) throw new Error(wrong);
    const [files, expected] = ['killed', 'whole'].map((folder) => readdirSync(join(cwd, folder)).sort());
    if (files.join() !== expected.join()) throw new Error(`the files are ${files.join()}, not ${expected.join()}`);
    for (const name of files)
      if (!readFileSync(join(cwd, 'killed', name)).equals(readFileSync(join(cwd, 'whole', name))))
        throw new Error(`${name} differs`);
  } finally {
    rmSync(cwd, { recursive: true, force: true });
  }
}

/** Whole batches of what is left are not drawn again, and nothing else is taken for drawn. */
function whatIsWrong(err: string, left: number): string | undefined {
  const there = picturesOf(left);
  const [, told] = /goes on: (\d+) of its \d+ pictures are there/.exec(err) ?? [];
  // One that was killed before it had looked has told nothing.
  if (told === undefined || Number(told) === there) return undefined;
  return `${there} pictures were there, and it went on after ${told}`;
}

const picturesOf = (bytes: number): number => Math.floor(bytes / (BATCH * BYTES)) * BATCH;

/** Bytes of pictures in the part. */
function bytesIn(folder: string): number {
  const path = join(folder, 'shard-0001-of-0002.npy.part');
  return Math.max(0, (statSync(path, { throwIfNoEntry: false })?.size ?? 0) - HEADER);
}

interface Ended {
  /** Null when it was killed. */
  readonly code: number | null;
  readonly err: string;
  /** Milliseconds until there were pictures. */
  readonly first: number;
}

async function run(
  cwd: string,
  out: string,
  isDue: (ms: number, bytes: number) => boolean = () => false,
): Promise<Ended> {
  const began = performance.now();
  const child = spawn(process.execPath, [BIN, 'sample', 'small.ts', ...ARGS, '--out', out], { cwd });
  let [err, first, isOver] = ['', 0, false];
  child.stderr.on('data', (chunk) => (err += String(chunk)));
  child.stdout.resume();
  const closed = new Promise<number | null>((resolve) => child.on('close', resolve)).finally(() => (isOver = true));
  while (!isOver) {
    const ms = performance.now() - began;
    const bytes = existsSync(join(cwd, out)) ? bytesIn(join(cwd, out)) : 0;
    if (bytes) first ||= ms;
    if (isDue(ms, bytes)) child.kill('SIGKILL');
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  return { code: await closed, err, first };
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { values } = parseArgs({
    options: { count: { type: 'string', default: '20' }, seed: { type: 'string', default: '1' } },
  });
  let wrong = 0;
  await shardKills(Number(values.count), Number(values.seed), (kill) => {
    if (kill.wrong) wrong++;
    console.log(`killed with ${kill.pictures} pictures${kill.wrong ? `: ${kill.wrong}` : ''}`);
  });
  console.log(`the same bytes as without; ${wrong} wrong`);
  process.exitCode = wrong ? 1 : 0;
}
