/**
 * Measures an entry: each dispatch by itself, in turn with runs that nothing measures, so that both meet the same machine and what
 * measuring costs can be told.
 */
import type { Program } from '../../runtime/program.ts';
import { timesIn, turnsOf } from '../../runtime/parts.ts';
import { hasTimestamps, type RunTimes, type Span } from '../../runtime/timing.ts';
import { begin, rewind } from './open.ts';

/** Dispatches timed by timestamps, or each by submits of its own. */
export type Method = 'timestamps' | 'submits';

/** What was measured of an entry's own dispatches, once a round. */
export interface PartTimes {
  readonly entry: string;
  /** How often it runs in a run of the whole: the turns of a loop. */
  readonly times: number;
  /** Of each dispatch, milliseconds in each round. */
  readonly dispatches: readonly (readonly number[])[];
  /** The last measured run, for a picture of it. */
  readonly last: RunTimes;
}

export interface EntryTimes {
  readonly entry: string;
  readonly method: Method;
  /** The bodies of its loops and what comes before them, in the order in which they run, and last itself. */
  readonly parts: readonly PartTimes[];
  /** Milliseconds from the beginning of a run that nothing measures to the news of its end, in each round. */
  readonly runs: readonly number[];
  /** Milliseconds of the CPU to encode such a run and to submit it, in each round. */
  readonly host: readonly number[];
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
  const [runs, host] = [[] as number[], [] as number[]];
  const { entries } = program.manifest;
  const parts = timesIn(turnsOf(entries, entry)).map(([name, times]) => new Part(program, name, times));
  for (let round = 0; round < rounds; round++) {
    rewind(program, spec);
    await program.sync();
    const began = performance.now();
    const running = program.run(entry);
    const done = program.sync(); // Submits all of it at once: the time of the host alone.
    host.push(performance.now() - began);
    await running;
    await done;
    runs.push(performance.now() - began);
    rewind(program, spec);
    for (const part of parts) await part.measure();
    onRound(round + 1);
  }
  const method = hasTimestamps(program.device) ? 'timestamps' : 'submits';
  return { entry, method, parts: parts.map((part) => part.seen()), runs, host, uploads };
}

/** An entry's own dispatches, each measured once a round, however often they run. */
class Part {
  readonly #program: Program;
  readonly #entry: string;
  readonly #times: number;
  readonly #submits: Submits;
  readonly #rounds: RunTimes[] = [];

  constructor(program: Program, entry: string, times: number) {
    this.#program = program;
    this.#entry = entry;
    this.#times = times;
    this.#submits = new Submits(program, entry);
  }

  async measure(): Promise<void> {
    this.#rounds.push((await this.#program.runProfiled(this.#entry)) ?? (await this.#submits.run()));
  }

  seen(): PartTimes {
    const own = this.#program.manifest.entries[this.#entry].dispatches;
    const dispatches = own.map((_, i) =>
      this.#rounds.map(({ dispatches: spans }) => (spans[i][1] - spans[i][0]) / 1e6),
    );
    return { entry: this.#entry, times: this.#times, dispatches, last: this.#rounds.at(-1)! };
  }
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
