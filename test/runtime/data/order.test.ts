/** The order of examples: every one once an epoch, fairly shuffled, a function of (seed, epoch). */
import { describe, expect, it } from 'vitest';
import { after, checkPosition, epochOrder, examplesFrom, flips, START } from '../../../runtime/data/order.ts';

describe('epochOrder', () => {
  it.each([1, 2, 3, 10, 4097, 60_000])('is a permutation of %i', (count) => {
    const order = epochOrder(7, 3, count);
    expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: count }, (_, i) => i));
  });

  it('differs by seed and epoch, and is the same again', () => {
    const orders = [epochOrder(1, 0, 100), epochOrder(1, 1, 100), epochOrder(2, 0, 100)].map(String);
    expect(new Set(orders).size).toBe(3);
    expect(String(epochOrder(1, 0, 100))).toBe(orders[0]);
  });

  it('gives every order of 4 equally often', () => {
    const counts = new Map<string, number>();
    const trials = 24_000;
    for (let epoch = 0; epoch < trials; epoch++) {
      const order = String(epochOrder(11, epoch, 4));
      counts.set(order, (counts.get(order) ?? 0) + 1);
    }
    expect(counts.size).toBe(24);
    const expected = trials / 24;
    const chi2 = [...counts.values()].reduce((sum, n) => sum + (n - expected) ** 2 / expected, 0);
    expect(chi2).toBeLessThan(49.7); // 23 degrees of freedom, p = 0.001
  });
});

describe('flips', () => {
  it('are fair, of each example anew each epoch', () => {
    const first = flips(3, 0);
    const second = flips(3, 1);
    const count = 10_000;
    let [ones, both] = [0, 0];
    for (let i = 0; i < count; i++) {
      if (first(i)) ones++;
      if (first(i) && second(i)) both++;
    }
    // Four standard deviations.
    expect(Math.abs(ones - count / 2)).toBeLessThan(4 * Math.sqrt(count / 4));
    expect(Math.abs(both - count / 4)).toBeLessThan(4 * Math.sqrt((count * 3) / 16));
    expect(flips(3, 0)(9_999)).toBe(first(9_999));
  });
});

describe('examplesFrom', () => {
  const take = (position = START, n = 25) => {
    const source = examplesFrom(5, 7, position);
    return Array.from({ length: n }, () => source.next().value);
  };

  it('goes on from any position as if it had never stopped', () => {
    const all = take();
    for (let i = 0; i < 20; i++) expect(take(all[i].at, 5)).toEqual(all.slice(i, i + 5));
    for (let i = 0; i < 20; i++) expect(after(all[i].at, 7)).toEqual(all[i + 1].at);
  });

  it('has every example once in each epoch', () => {
    const epoch = take()
      .filter(({ at }) => at.epoch === 2)
      .map(({ example }) => example);
    expect(epoch.sort()).toEqual([0, 1, 2, 3, 4, 5, 6]);
  });
});

it('a position outside the data is refused', () => {
  for (const position of [{ epoch: 0, index: 7 }, { epoch: -1, index: 0 }, { epoch: 0.5, index: 0 }, {} as never])
    expect(() => checkPosition(position, 7)).toThrow(/the data has 7 examples/);
  checkPosition({ epoch: 3, index: 6 }, 7);
});
