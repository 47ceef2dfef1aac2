/** Distances between sets of pictures' features, against scipy and numpy. */
import { beforeAll, describe, expect, it } from 'vitest';
import { frechetDistance } from '../../../runtime/metrics/frechet.ts';
import { inceptionScore, softmaxRows } from '../../../runtime/metrics/inception-score.ts';
import { precisionRecall } from '../../../runtime/metrics/manifold.ts';
import { MomentsSum, type Moments } from '../../../runtime/metrics/moments.ts';
import { relativeError } from '../../helpers/relative-error.ts';
import { readGolden, type Golden } from '../../models/golden.ts';

const WIDTH = 12;
const TOLERANCE = 1e-6;

let golden: Golden['values'];
beforeAll(async () => {
  golden = (await readGolden('metrics')).values;
});

/** Statistics of vectors that come in batches of so many. */
function momentsOf(features: ArrayLike<number>, batch: number, width = WIDTH): Moments {
  const sum = new MomentsSum(width);
  const all = Array.from(features);
  for (let at = 0; at < all.length; at += batch * width) sum.add(all.slice(at, at + batch * width));
  return sum.finish();
}

describe('mean and covariance', () => {
  it.each([1, 7, 300])('are numpy’s, whatever the batch: %i', (batch) => {
    const { mean, covariance } = momentsOf(golden['input.reference'], batch);
    expect(relativeError(mean, golden['output.mean'])).toBeLessThan(TOLERANCE);
    expect(relativeError(covariance, golden['output.covariance'])).toBeLessThan(TOLERANCE);
  });

  it('keep their digits far from zero', () => {
    const far = Array.from({ length: 400 }, (_, i) => 1e8 + (i % 2));
    expect(momentsOf(far, 100, 1).covariance[0]).toBeCloseTo(0.25 * (400 / 399), 12);
  });

  it('of one picture, or of NaN, are refused', () => {
    expect(() => momentsOf(new Float32Array(WIDTH), 1)).toThrow(/at least 2 pictures, these are 1/);
    const broken = Float32Array.from(golden['input.reference'], (value, i) => (i === 2 * WIDTH + 5 ? NaN : value));
    expect(() => momentsOf(broken, 9)).toThrow(/element 5 of picture 2 is NaN/);
  });
});

describe('the Fréchet distance', () => {
  const of = (name: string) => momentsOf(golden[`input.${name}`], 50);

  it('is scipy’s, in both directions', () => {
    const [a, b] = [of('reference'), of('samples')];
    for (const distance of [frechetDistance(a, b), frechetDistance(b, a)]) {
      expect(relativeError([distance], golden['output.frechet'])).toBeLessThan(TOLERANCE);
    }
  });

  it('is finite and right for fewer pictures than features', () => {
    const [a, b] = [of('reference'), of('few')];
    for (const distance of [frechetDistance(a, b), frechetDistance(b, a)]) {
      expect(relativeError([distance], golden['output.frechetOfFew'])).toBeLessThan(TOLERANCE);
    }
  });

  it('of a set to itself is 0', () => {
    for (const name of ['reference', 'few']) expect(frechetDistance(of(name), of(name))).toBe(0);
  });

  it('of statistics of different widths is refused', () => {
    const other = momentsOf([1, 2, 3, 4], 2, 2);
    expect(() => frechetDistance(of('few'), other)).toThrow(/12 numbers cannot be compared with features of 2/);
  });
});

it('the inception score is numpy’s, split by split', () => {
  const score = inceptionScore(softmaxRows(golden['input.logits'], 9), 9, 20);
  expect(relativeError([score], golden['output.inceptionScore'])).toBeLessThan(TOLERANCE);
});

it('an inception score counts a class of probability 0', () => {
  expect(inceptionScore([1, 0, 0, 1], 2)).toBeCloseTo(2, 12);
});

describe('precision and recall', () => {
  const features = (name: string) => ({ width: WIDTH, values: Float32Array.from(golden[`input.${name}`]) });

  it('are numpy’s', () => {
    const { precision, recall } = precisionRecall(features('reference'), features('samples'));
    expect(
      relativeError([precision, recall], [golden['output.precision'][0], golden['output.recall'][0]]),
    ).toBeLessThan(TOLERANCE);
  });

  it('of a set against itself are 1, and against one far away 0', () => {
    const set = features('reference');
    expect(precisionRecall(set, set)).toEqual({ precision: 1, recall: 1 });
    const far = { ...set, values: set.values.map((value) => value + 1e4) };
    expect(precisionRecall(set, far)).toEqual({ precision: 0, recall: 0 });
  });

  it('of too few vectors to have a third neighbour are refused', () => {
    const three = { width: WIDTH, values: features('few').values.slice(0, 3 * WIDTH) };
    expect(() => precisionRecall(features('few'), three)).toThrow(/at least 4 pictures, one set has 3/);
  });
});
