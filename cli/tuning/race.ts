/**
 * Finds the fastest of some contenders by measurements that disturb each other: all take turns, those that cannot win leave early,
 * and the first, which is what there is already, is only replaced by one that is faster beyond what noise explains.
 */
import { spread } from '../spread.ts';

/** A contender's turn: how often in a row it runs. */
export interface Turn {
  /** Place among the contenders. */
  readonly at: number;
  readonly times: number;
}

/** Has contenders take their turns, one after the other; gives the nanoseconds of one run of each. */
export type Sample = (turns: readonly Turn[]) => Promise<readonly number[]>;

export interface RaceOptions {
  /** Rounds for those that stay. */
  readonly rounds?: number;
  readonly stop?: AbortSignal;
}

export interface Race {
  /** Place of the winner among the contenders. */
  readonly winner: number;
  /** Median nanoseconds of each, over the rounds that it was in. */
  readonly medians: readonly number[];
  /** How often anyone was timed. */
  readonly samples: number;
}

const ROUNDS = 9;
/** Nanoseconds that a sample should cover, so that what surrounds it is a small part. */
const SAMPLE = 3e6;
const MOST_TIMES = 64;
/** What takes so much longer than the fastest when first timed is not timed again. */
const HOPELESS = 2;
/** What takes so much longer after the rounds so far leaves: more than medians of a busy machine are off. */
const BEHIND = [1.5, 1.25, 1.15];
/** What is faster takes at most so much, in the median of the rounds, of what the first takes, */
const FASTER = 0.97;
/** and is faster in so many of them: to be thought of as the winner, and to be it. */
const MOSTLY = 2 / 3;
const CLEARLY = 8 / 9;

export async function race(count: number, sample: Sample, { rounds = ROUNDS, stop }: RaceOptions = {}): Promise<Race> {
  const times: number[][] = Array.from({ length: count }, () => []);
  const everyone = [...times.keys()].map((at) => ({ at, times: 1 }));
  // The first run of a kernel meets cold caches.
  await sample(everyone);
  const first = await sample(everyone);
  let samples = 2 * count;
  const fastest = Math.min(...first);
  let running = [...times.keys()].filter((i) => i === 0 || first[i] <= HOPELESS * fastest);
  const timesOf = (i: number) => Math.max(1, Math.min(MOST_TIMES, Math.ceil(SAMPLE / Math.max(1, first[i]))));
  for (let round = 0; round < rounds && running.length > 1 && !stop?.aborted; round++) {
    const took = await sample(running.map((at) => ({ at, times: timesOf(at) })));
    running.forEach((at, i) => times[at].push(took[i]));
    samples += running.length;
    const behind = BEHIND[Math.min(round, BEHIND.length - 1)];
    const best = Math.min(...running.map((i) => median(times[i])));
    running = running.filter((i) => i === 0 || median(times[i]) <= behind * best);
  }
  const medians = times.map((list, i) => (list.length ? median(list) : first[i]));
  const better = running.filter((i) => i > 0 && times[i].length && isFaster(times[i], times[0], MOSTLY));
  const likely = better.reduce((best, i) => (medians[i] < medians[best] ? i : best), 0);
  if (!likely) return { winner: 0, medians, samples };
  // Of many, one looks fast by luck: it has to show it once more, against the first alone.
  const [own, other]: [number[], number[]] = [[], []];
  for (let round = 0; round < rounds && !stop?.aborted; round++) {
    const took = await sample([0, likely].map((at) => ({ at, times: timesOf(at) })));
    own.push(took[0]);
    other.push(took[1]);
    samples += 2;
  }
  const isShown = own.length === rounds && isFaster(other, own, CLEARLY);
  if (isShown) medians[likely] = medians[0] * median(ratiosOf(other, own));
  return { winner: isShown ? likely : 0, medians, samples };
}

/** Round by round, for the machine may have been another in each. */
const ratiosOf = (times: readonly number[], own: readonly number[]): number[] => times.map((ns, i) => ns / own[i]);

function isFaster(times: readonly number[], own: readonly number[], mostly: number): boolean {
  const ratios = ratiosOf(times, own);
  return median(ratios) < FASTER && ratios.filter((ratio) => ratio < 1).length >= mostly * ratios.length;
}

const median = (values: readonly number[]): number => spread(values).median;
