/**
 * Timing that compares: contenders take turns (A B C, A B C, …) in one process on one adapter, so that what disturbs the
 * machine disturbs all of them; what is told is the median with its spread. Work is submitted, then waited for; short work is
 * submitted several times before the wait.
 */
import { loadavg } from 'node:os';
import { spread, type Spread } from '../../cli/spread.ts';

export { spread };

/** One thing to be timed. Its operands lie where it computes, and its result stays there. */
export interface Contender {
  readonly name: string;
  /** Puts one run in the queue, or does it. */
  submit(): Promise<void> | void;
  /** Resolves when all that was submitted is done. */
  finish(): Promise<void>;
}

/** Milliseconds of one run. */
export interface Sample extends Spread {
  readonly name: string;
  /** Runs per wait. */
  readonly runs: number;
}

export interface Measured {
  readonly samples: readonly Sample[];
  /** Load average of the last minute before and after: well below the number of cores, or the figures are noise. */
  readonly load: readonly [before: number, after: number];
}

/** A wait should cover this much work, so that its own cost vanishes. */
const SAMPLE_MS = 100;
const MAX_RUNS = 50;

/** Rounds of everyone in turn, after two runs each to compile pipelines and to see how long one takes. */
export async function measure(contenders: readonly Contender[], rounds: number): Promise<Measured> {
  const before = loadavg()[0];
  const runs = new Map<Contender, number>();
  for (const contender of contenders) {
    await timed(contender, 1);
    const ms = await timed(contender, 1);
    runs.set(contender, Math.max(1, Math.min(MAX_RUNS, Math.round(SAMPLE_MS / ms))));
  }
  const times = new Map(contenders.map((contender) => [contender, [] as number[]]));
  for (let round = 0; round < rounds; round++) {
    for (const [contender, list] of times) list.push(await timed(contender, runs.get(contender)!));
  }
  const samples = [...times].map(([contender, list]) => ({
    name: contender.name,
    ...spread(list),
    runs: runs.get(contender)!,
  }));
  return { samples, load: [before, loadavg()[0]] };
}

/** Milliseconds between turns: thread pools that spin while they wait for more work (onnxruntime's) have stopped by then. */
const PAUSE = 50;

async function timed(contender: Contender, runs: number): Promise<number> {
  await new Promise((resolve) => setTimeout(resolve, PAUSE));
  const start = performance.now();
  for (let i = 0; i < runs; i++) await contender.submit();
  await contender.finish();
  return (performance.now() - start) / runs;
}
