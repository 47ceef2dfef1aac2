/** Which of some contenders is fastest, by measurements that noise disturbs. */
import { describe, expect, it } from 'vitest';
import { race, type Sample } from '../../../cli/tuning/race.ts';
import { Random } from '../../../compiler/ops/index.ts';

/** Contenders of true nanoseconds each; the machine is slower by up to `noise` in any sample, and in some rounds by more. */
function machine(truth: readonly number[], noise: number, seed: number) {
  const random = new Random(seed);
  const timed = truth.map(() => 0);
  const sample: Sample = (turns) => {
    const busy = 1 + (random.uniform(0, 1) < 0.3 ? 2 * noise : 0);
    return Promise.resolve(
      turns.map(({ at, times }) => {
        timed[at] += times;
        return truth[at] * busy * (1 + noise * random.uniform(0, 1));
      }),
    );
  };
  return { sample, timed };
}

const SEEDS = Array.from({ length: 40 }, (_, i) => i + 1);

describe('race', () => {
  it('finds the fastest', async () => {
    for (const seed of SEEDS) {
      const { sample } = machine([1000, 900, 500, 1500, 800], 0.1, seed);
      expect((await race(5, sample)).winner).toBe(2);
    }
  });

  it('what is there stays where others are as fast, however the machine varies', async () => {
    for (const seed of SEEDS) {
      const { sample } = machine([1000, 1000, 1000, 1000], 0.02, seed);
      expect((await race(4, sample)).winner).toBe(0);
    }
  });

  it('never takes a slower one, on a machine that others use too', async () => {
    for (const seed of SEEDS) {
      const { sample } = machine([1000, 1200, 1100, 1300], 0.5, seed);
      expect((await race(4, sample)).winner).toBe(0);
    }
  });

  it('times what cannot win no further', async () => {
    const { sample, timed } = machine([1e6, 1e7, 0.9e6, 1.7e6], 0.05, 1);
    await race(4, sample);
    expect(timed[1]).toBe(2);
    expect(timed[3]).toBeLessThan(timed[2] / 2);
  });

  it('ends at once when it is asked to', async () => {
    const { sample, timed } = machine([1e6, 1e6], 0.1, 1);
    await race(2, sample, { stop: AbortSignal.abort() });
    expect(timed).toEqual([2, 2]);
  });
});
