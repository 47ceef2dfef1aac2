/**
 * Repeats in a sequence of dispatches: the blocks of a model run the same kernels in the same order, and a picture of one
 * block is worth more than one of twenty-eight. Found by structure alone: equal names, one after the other, rounds within
 * rounds.
 */
export interface Repeat {
  /** The first item of the first round. */
  readonly start: number;
  /** Items of one round. */
  readonly period: number;
  readonly rounds: number;
  /** Repeats within the first round. */
  readonly inner: readonly Repeat[];
}

/** Longest round that is looked for. */
const MAX_PERIOD = 64;

/** The repeats among items `start` to `end`. At each place the round is taken that covers most, the shortest of them. */
export function repeatsIn(names: readonly string[], start = 0, end = names.length): Repeat[] {
  const repeats: Repeat[] = [];
  for (let at = start; at < end;) {
    let best = { period: 1, rounds: 1 };
    for (let period = 1; period <= Math.min(MAX_PERIOD, (end - at) / 2); period++) {
      let same = at + period;
      while (same < end && names[same] === names[same - period]) same++;
      const rounds = Math.floor((same - at) / period);
      if (rounds > 1 && rounds * period > best.rounds * best.period) best = { period, rounds };
    }
    const { period, rounds } = best;
    if (rounds > 1) repeats.push({ start: at, period, rounds, inner: repeatsIn(names, at, at + period) });
    at += period * rounds;
  }
  return repeats;
}

/** For each of `count` items the one that stands for it: the same place in the first round of every repeat. */
export function representatives(count: number, repeats: readonly Repeat[]): number[] {
  const shown = Array.from({ length: count }, (_, i) => i);
  // From the inside out: an outer round then copies what its first round has become.
  const collapse = ({ start, period, rounds, inner }: Repeat): void => {
    inner.forEach(collapse);
    for (let i = period; i < period * rounds; i++) shown[start + i] = shown[start + (i % period)];
  };
  repeats.forEach(collapse);
  return shown;
}
