/**
 * Kills a training at random moments (`kill −9`), also while it writes a checkpoint and before its first, and goes on with
 * `--resume latest`: the weights, the last checkpoint and the metrics must be those of a training that was never killed, bit
 * by bit, and nothing else may be left. `npx tsx test/fuzz/kills.ts --count 30 --seed 1`
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { readMetrics } from '../../cli/metrics.ts';
import { Random } from '../../compiler/ops/index.ts';
import { BIN, SMALL_DIT } from '../cli/cli.ts';
import { writeStripes } from '../cli/linear-denoiser.ts';
import { writtenIn } from '../cli/written.ts';

/** What was there when the process was killed. */
export type Moment = 'before anything was written' | 'before the first checkpoint' | 'inside a checkpoint' | 'between';

export interface Outcome {
  readonly moment: Moment;
  /** What is not as it should be. */
  readonly wrong?: string;
}

const STEPS = 60;
const ARGS = ['--data', 'stripes.safetensors', '--batch', '4', '--steps', String(STEPS), '--log-every', '1'];
const EVERY = ['--checkpoint-every', '3', '--keep', '2', '--sample-every', '20', '--sample-steps', '2'];
const OUT = 'run';

/** When to kill: milliseconds after the start, or as soon as there is a file of this kind. */
type When = { readonly after: number } | { readonly as: (files: readonly string[]) => boolean };

const isTemporary = (file: string) => /^checkpoints\/\.ditc-.*\.tmp$/.test(file);

interface Ended {
  readonly code: number | null;
  readonly err: string;
  /** Milliseconds to the first line of metrics.jsonl, and to the end. */
  readonly first: number;
  readonly last: number;
}

class Training {
  readonly #folder: string;

  constructor(private readonly cwd: string) {
    this.#folder = join(cwd, OUT);
  }

  files(): string[] {
    if (!existsSync(this.#folder)) return [];
    return writtenIn(this.#folder, { below: true });
  }

  /** Trains, on from what is there, to the end or until it is killed. */
  async run(when?: When): Promise<Ended> {
    // Nothing there is nothing to resume; all else is told by ditc.
    const resume = existsSync(join(this.#folder, 'metrics.jsonl')) ? ['--resume', 'latest'] : [];
    const began = performance.now();
    const child = spawn(process.execPath, [BIN, 'train', 'small.ts', ...ARGS, ...EVERY, '--out', OUT, ...resume], {
      cwd: this.cwd,
    });
    let [err, first] = ['', 0];
    child.stderr.on('data', (chunk) => (err += String(chunk)));
    child.stdout.resume();
    let isOver = false;
    const closed = new Promise<number | null>((resolve) => child.on('close', resolve)).finally(() => (isOver = true));
    const isDue = () => when && ('after' in when ? performance.now() - began >= when.after : when.as(this.files()));
    while (!isOver) {
      if (isDue()) child.kill('SIGKILL');
      first ||= existsSync(join(this.#folder, 'metrics.jsonl')) ? performance.now() - began : 0;
      await new Promise((resolve) => setTimeout(resolve, 'as' in (when ?? {}) ? 0 : 1));
    }
    return { code: await closed, err, first, last: performance.now() - began };
  }

  moment(): Moment {
    const files = this.files();
    if (files.some(isTemporary)) return 'inside a checkpoint';
    if (!files.includes('metrics.jsonl')) return 'before anything was written';
    return files.some((file) => /^checkpoints\/\d+\.safetensors$/.test(file))
      ? 'between'
      : 'before the first checkpoint';
  }

  /** All that a training is, by file; what a clock says is left out. */
  content(): Map<string, string> {
    const bits = this.files().filter((file) => /\.(safetensors|png)$|latest$/.test(file));
    const content = new Map(bits.map((file) => [file, readFileSync(join(this.#folder, file), 'base64')]));
    const metrics = readMetrics(join(this.#folder, 'metrics.jsonl')).map(({ wall: _, ...rest }) => rest);
    content.set('metrics.jsonl', JSON.stringify(metrics));
    return content;
  }

  forget(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** What is trained: a model file, its pictures' side and its classes. */
export interface Subject {
  readonly source: string;
  readonly side: number;
  readonly classes: number;
}

const DIT: Subject = { source: SMALL_DIT, side: 8, classes: 5 };

/** Kills so many times; `onOutcome` hears of each. */
export async function kills(
  count: number,
  seed: number,
  onOutcome: (outcome: Outcome) => void,
  { source, side, classes }: Subject = DIT,
): Promise<void> {
  const cwd = mkdtempSync(join(tmpdir(), 'ditc-kills-'));
  try {
    writeFileSync(join(cwd, 'small.ts'), source);
    await writeStripes(join(cwd, 'stripes.safetensors'), 25, (i) => i % classes, side);
    const training = new Training(cwd);
    const whole = await training.run();
    if (whole.code !== 0) throw new Error(`the training fails without being killed:\n${whole.err}`);
    const expected = { files: training.files().join('\n'), content: training.content() };
    const random = new Random(seed);
    // A third as soon as a checkpoint is being written, one in six before the first, and the others at any moment.
    const inCheckpoint = (n: number) => (files: readonly string[]) =>
      files.some(isTemporary) && files.filter((file) => /^checkpoints\/\d/.test(file)).length >= n;
    const anyTime = () => ({ after: random.uniform(0, whole.last) });
    const whileTraining = () => ({ after: random.uniform(whole.first, whole.last) });
    const atFirst = () => ({ as: (files: readonly string[]) => files.includes('metrics.jsonl') });
    const inOne = () => ({ as: inCheckpoint(random.int(0, 2)) });
    const moments: (() => When)[] = [whileTraining, inOne, anyTime, atFirst, inOne, whileTraining];
    for (let done = 0, tries = 0; done < count;) {
      training.forget();
      // Now and then what goes on is killed again.
      const times = random.next() < 0.25 ? 2 : 1;
      const seen: Moment[] = [];
      let result = { code: null as number | null, err: '' };
      while (result.code === null && seen.length < times && done + seen.length < count) {
        result = await training.run(moments[tries++ % moments.length]());
        // One that ended before its moment came was not killed.
        if (result.code === null) seen.push(training.moment());
      }
      if (result.code === null) result = await training.run();
      const wrong = difference(result, training, expected);
      for (const moment of seen) onOutcome({ moment, wrong });
      if (!seen.length && wrong) throw new Error(`a training that was not killed: ${wrong}`);
      done += seen.length;
    }
  } finally {
    rmSync(cwd, { recursive: true, force: true });
  }
}

function difference(
  { code, err }: { readonly code: number | null; readonly err: string },
  training: Training,
  expected: { readonly files: string; readonly content: ReadonlyMap<string, string> },
): string | undefined {
  if (code !== 0) return `going on ended with ${code}:\n${err}`;
  const files = training.files().join('\n');
  if (files !== expected.files) return `the files are\n${files}\nand should be\n${expected.files}`;
  const content = training.content();
  return [...expected.content].flatMap(([file, text]) => (content.get(file) === text ? [] : [`${file} differs`]))[0];
}

/** How often each moment was met. */
export const countsOf = (outcomes: readonly Outcome[]): Record<string, number> =>
  outcomes.reduce<Record<string, number>>((counts, { moment }) => {
    return { ...counts, [moment]: (counts[moment] ?? 0) + 1 };
  }, {});

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { values } = parseArgs({
    options: { count: { type: 'string', default: '30' }, seed: { type: 'string', default: '1' } },
  });
  const outcomes: Outcome[] = [];
  await kills(Number(values.count), Number(values.seed), (outcome) => {
    outcomes.push(outcome);
    console.log(`${outcomes.length}  ${outcome.moment}  ${outcome.wrong ?? 'goes on bit by bit, nothing left behind'}`);
  });
  const wrong = outcomes.filter((outcome) => outcome.wrong !== undefined).length;
  const counts = Object.entries(countsOf(outcomes)).map(([moment, n]) => `${n} ${moment}`);
  console.log(`${outcomes.length} kills: ${counts.join(', ')}; ${wrong} wrong`);
  process.exitCode = wrong ? 1 : 0;
}
