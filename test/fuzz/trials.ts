/** What the fuzzer tries of each case: some of the devices, each in its turn, with and without a budget of memory. */
import type { Scheduled } from '../../compiler/pipeline.ts';
import { check, type Trial, type Verdict } from './check.ts';
import { fuzzCase, type Case } from './cases.ts';
import { TARGETS } from './devices.ts';

/** Devices that each case is compiled for, of all. */
const DEVICES = 2;
const SHARES = [0, 0.5, 0.8];
const NAN_EVERY = 5;
/** Plans are given from outside in every so many cases, on one of the devices. */
const PLANS_EVERY = 3;

/** The trials of a case: any `TARGETS.length` cases in a row meet every device as often, one of them with a budget or with NaN. */
export function trialsOf(number: number): Trial[] {
  const spread = Math.floor(TARGETS.length / DEVICES);
  const targets = Array.from({ length: DEVICES }, (_, i) => TARGETS[(number + i * spread) % TARGETS.length]);
  const [first, ...others] = targets;
  const given = number % PLANS_EVERY ? {} : { plans: number };
  const share = SHARES[Math.floor(number / TARGETS.length) % SHARES.length];
  const again = number % NAN_EVERY ? { share } : { nan: true };
  return [{ target: first }, ...others.map((target) => ({ target, ...given })), { target: first, ...again }];
}

export interface Tried {
  readonly number: number;
  readonly trial: Trial;
  readonly verdict: Verdict;
}

export function* tryCase(number: number): Generator<Tried, Case> {
  const made = fuzzCase(number);
  const free = new Map<Trial['target'], Scheduled>();
  for (const trial of trialsOf(number)) {
    const verdict = check(made, trial, free.get(trial.target));
    if ('scheduled' in verdict) free.set(trial.target, verdict.scheduled);
    yield { number, trial, verdict };
  }
  return made;
}

/** A trial in words. */
export function trialText({ target, share, nan, plans }: Trial): string {
  const words = [share !== undefined && `${share * 100} % of the memory`, nan && 'NaN', plans !== undefined && 'plans by chance']; // prettier-ignore
  return [target.name, ...words].filter(Boolean).join(', ');
}
