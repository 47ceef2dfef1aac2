/**
 * Measures an entry: each dispatch by itself, in turn with runs that nothing measures, so that both meet the same machine and what
 * measuring costs can be told.
 */
import type { Program } from '../../runtime/program.ts';
import type { RunTimes, Span } from '../../runtime/timing.ts';
import { begin, rewind } from './open.ts';

/** Dispatches timed by timestamps, or each by submits of its own. */
export type Method = 'timestamps' | 'submits';

export interface EntryTimes {
  readonly entry: string;
  readonly method: Method;
  /** Of each dispatch, milliseconds in each round. */
  readonly dispatches: readonly (readonly number[])[];
  /** Milliseconds from the beginning of a run that nothing measures to the news of its end, in each round. */
  readonly runs: readonly number[];
  /** Milliseconds of the CPU to encode such a run and to submit it, in each round. */
  readonly host: readonly number[];
  /** The last measured run, for a picture of it. */
  readonly last: RunTimes;
  /** What was written before: milliseconds of performance.now(). */
  readonly uploads: Span;
}

/** Milliseconds that submits of a dispatch without timestamps last together, so that waiting for it is a small part. */
const ENOUGH_MS = 5;
const MOST_TIMES = 100;

/** Rounds of both; `onRound` is told after each. */
export async function measureEntry(
  program: Program,
  entry: string,
  rounds: number,
  onRound: (done: number) => void,
): Promise<EntryTimes> {
  const spec = program.manifest.entries[entry];
  const uploading = performance.now();
  await begin(program, entry);
  const uploads: Span = [uploading, performance.now()];
  // Drivers compile kernels in the first run.
  await program.run(entry);
  await program.sync();
  const [runs, host, measured] = [[] as number[], [] as number[], [] as number[][]];
  const submits = new Submits(program, entry);
  let method: Method = 'timestamps';
  let last: RunTimes | undefined;
  for (let round = 0; round < rounds; round++) {
    rewind(program, spec);
    await program.sync();
    const began = performance.now();
    const running = program.run(entry);
    host.push(performance.now() - began);
    await running;
    await program.sync();
    runs.push(performance.now() - began);
    rewind(program, spec);
    const times = await program.runProfiled(entry);
    if (!times) method = 'submits';
    last = times ?? (await submits.run());
    measured.push(last.dispatches.map(([from, to]) => (to - from) / 1e6));
    onRound(round + 1);
  }
  const dispatches = spec.dispatches.map((_, i) => measured.map((times) => times[i]));
  return { entry, method, dispatches, runs, host, last: last!, uploads };
}

/** Dispatches without timestamps: each submitted some times in a row, by the wall clock. */
class Submits {
  readonly #program: Program;
  readonly #entry: string;
  readonly #times: number[] = [];

  constructor(program: Program, entry: string) {
    this.#program = program;
    this.#entry = entry;
  }

  async run(): Promise<RunTimes> {
    const stepper = this.#program.stepper(this.#entry);
    const { dispatches } = this.#program.manifest.entries[this.#entry];
    const began = performance.now();
    const spans: Span[] = [];
    for (const i of dispatches.keys()) {
      const step = stepper.step(i);
      this.#times[i] ??= timesFor((await stepper.time([[step, 1]]))[0]);
      const from = (performance.now() - began) * 1e6;
      const [took] = await stepper.time([[step, this.#times[i]]]);
      spans.push([from, from + took]);
    }
    stepper.finish();
    await this.#program.sync();
    return { encode: [began, began], submit: [began, began], done: performance.now(), dispatches: spans };
  }
}

const timesFor = (nanoseconds: number): number =>
  Math.max(1, Math.min(MOST_TIMES, Math.ceil((ENOUGH_MS * 1e6) / nanoseconds)));
