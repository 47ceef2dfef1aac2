/** Schedules and respacing against the numbers on record (docs/numbers.md) and against numpy. */
import { describe, expect, it } from 'vitest';
import { betas, gaussianProcess, processOf, roundHalfToEven, spaceTimesteps } from '../../models/schedule.ts';
import type { Process, Schedule } from '../../models/schedule.ts';
import { readGoldenJson } from './golden.ts';

const full = gaussianProcess(betas('linear'));

/** Agreement in the digits that were written down: at most 0.6 of the last one apart. */
function expectDigits(value: number, recorded: number, digits: number, what: string): void {
  const unit = recorded ? 10 ** (Math.floor(Math.log10(Math.abs(recorded))) + 1 - digits) : 1e-300;
  expect(Math.abs(value - recorded), `${what}: ${value} against ${recorded}`).toBeLessThan(0.6 * unit);
}

describe('constants on record', () => {
  // t, then β, ᾱ, √(1/ᾱ−1), β̃, log β̃ clipped, log β, c₁, c₂, with the number of digits each is given to.
  const columns: [keyof Process, number][] = [
    ['beta', 7],
    ['alphaBar', 11],
    ['sqrtRecipM1AlphaBar', 9],
    ['posteriorVariance', 9],
    ['posteriorLogVarianceClipped', 9],
    ['logBeta', 9],
    ['posteriorMeanCoef1', 7],
    ['posteriorMeanCoef2', 9],
  ];
  it.each([
    [0, 1e-4, 0.9999, 0.0100005000375, 0, -9.81672514, -9.21034037, 1, 0],
    [1, 1.1991992e-4, 0.999780092072, 0.0148309237, 5.45318766e-5, -9.81672514, -9.02868637, 0.5452915, 0.454708499],
    [500, 0.01005996, 0.077796658365, 3.44296711, 0.0100513358, -4.60004974, -4.59919209, 3.05805708e-3, 0.994104351],
    [999, 0.02, 4.03582976538e-5, 157.407281, 0.0199999835, -3.91202383, -3.91202301, 1.28351487e-4, 0.989948678],
  ])('at t = %d', (t, ...expected) => {
    columns.forEach(([name, digits], i) => {
      expectDigits((full[name] as Float64Array)[t], expected[i], digits, name);
    });
  });

  it('respaced to 250', () => {
    const { beta, timesteps, length } = processOf('linear', 250);
    expect([length, timesteps.length]).toEqual([250, 250]);
    expect([...timesteps.slice(0, 4), ...timesteps.slice(-3)]).toEqual([0, 4, 8, 12, 991, 995, 999]);
    [1e-4, 5.990655645e-4, 0.077519345].forEach((b, i) => expectDigits(beta[[0, 1, 249][i]], b, 9, 'beta'));
  });

  it('respaced to 50', () => {
    const kept = spaceTimesteps(1000, '50');
    expect([...kept.slice(0, 6), ...kept.slice(-2)]).toEqual([0, 20, 41, 61, 82, 102, 979, 999]);
  });

  it('a process that keeps every step is the full one', () => {
    const same = processOf('linear', '');
    same.alphaBar.forEach((a, t) => expect(Math.abs(a / full.alphaBar[t] - 1)).toBeLessThan(1e-12));
    expect(same.timesteps).toEqual(Array.from({ length: 1000 }, (_, t) => t));
  });
});

describe('rounding', () => {
  it('sends halves to the even neighbour', () => {
    expect([0.5, 1.5, 2.5, 166.5, 167.5, 2.4999, 2.5001, 3].map(roundHalfToEven)).toEqual([0, 2, 2, 166, 168, 2, 3, 3]);
  });
});

interface Respacing {
  cases: { steps: number; spacing: string; count: number; sum: number; weightedSum: number; timesteps?: number[] }[];
  errors: { steps: number; spacing: string }[];
  halfToEvenMatters: number[];
}

describe('respacing equals the reference', () => {
  const { cases, errors, halfToEvenMatters } = readGoldenJson<Respacing>('respacing');

  it('covers every count where rounding halves up would go wrong', () => {
    expect(halfToEvenMatters).toHaveLength(49);
    for (const n of halfToEvenMatters)
      expect(cases.some((c) => c.steps === 1000 && c.spacing === String(n))).toBe(true);
  });

  it.each(cases)('$spacing of $steps', ({ steps, spacing, count, sum, weightedSum, timesteps }) => {
    const kept = spaceTimesteps(steps, spacing);
    expect(kept).toHaveLength(count);
    expect(kept.reduce((a, t) => a + t, 0)).toBe(sum);
    expect(kept.reduce((a, t, i) => a + t * (i + 1), 0)).toBe(weightedSum);
    if (timesteps) expect(kept).toEqual(timesteps);
    if (/^\d+$/.test(spacing)) expect(spaceTimesteps(steps, Number(spacing))).toEqual(kept);
  });

  it.each(errors)('refuses $spacing of $steps', ({ steps, spacing }) => {
    expect(() => spaceTimesteps(steps, spacing)).toThrow(/^steps: .*; /);
  });

  it.each(['a', '10,,10', '-5', '2.5', 'ddim', '0', '1,2,'])('refuses %j and says what to write', (spacing) => {
    expect(() => spaceTimesteps(1000, spacing)).toThrow(/; (give a count|keep at least one)/);
  });
});

type ScheduleCase = { schedule: string; steps: number; spacing: string; count: number; index: number[] } & {
  timestep: number[];
};

describe('every constant equals numpy', () => {
  const golden = readGoldenJson<{
    cases: (ScheduleCase & Record<string, number[]>)[];
    otherLengths: { schedule: Schedule; steps: number; first: number; last: number }[];
  }>('schedule');
  const names = Object.keys(full).filter((name) => name !== 'length' && name !== 'timesteps');

  it.each(golden.cases)('$schedule respaced by "$spacing"', (row) => {
    const process = processOf(row.schedule === 'linear' ? 'linear' : 'squaredcos', row.spacing, row.steps);
    expect(process.length).toBe(row.count);
    expect(row.index.map((j) => process.timesteps[j])).toEqual(row.timestep);
    for (const name of names) {
      const column = process[name as keyof Process] as Float64Array;
      // β = 1 − (a quotient near 1) keeps about 12 digits at the quiet end of the cosine schedule.
      row.index.forEach((j, i) => {
        const [mine, theirs] = [column[j], row[name][i]];
        const scale = Math.max(Math.abs(theirs), 1e-15);
        expect(Math.abs(mine - theirs) / scale, `${name}[${j}]: ${mine} against ${theirs}`).toBeLessThan(1e-10);
      });
    }
  });

  it.each(golden.otherLengths)('$schedule over $steps steps', ({ schedule, steps, first, last }) => {
    const beta = betas(schedule, steps);
    expect([beta.length, beta[0], beta[steps - 1]]).toEqual([steps, first, last]);
  });
});
