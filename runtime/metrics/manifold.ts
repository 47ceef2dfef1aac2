/**
 * Improved precision and recall (Kynkäänniemi et al. 2019): the share of samples that lie within the manifold of the
 * reference, and the other way round. A manifold is a ball around each vector, as far as its k-th neighbour.
 */

import { RuntimeError } from '../error.ts';

/** Vectors [n,d], row-major. */
export interface Features {
  readonly width: number;
  readonly values: Float32Array;
}

export interface PrecisionRecall {
  readonly precision: number;
  readonly recall: number;
}

/** ADM's evaluator counts the third neighbour. */
const NEIGHBOUR = 3;

/** Called with the share of the work that is done. */
export type OnShare = (share: number) => void;

/** @throws RuntimeError `no-data` where a set has too few vectors for that many neighbours. */
export function precisionRecall(
  reference: Features,
  samples: Features,
  neighbour = NEIGHBOUR,
  onShare: OnShare = () => {},
): PrecisionRecall {
  const fewest = Math.min(...[reference, samples].map(({ values, width }) => values.length / width));
  if (fewest <= neighbour) throw tooFew(fewest, neighbour);
  const third = (n: number) => (share: number) => onShare((n + share) / 3);
  const ofReference = radii(reference, neighbour, third(0));
  const ofSamples = radii(samples, neighbour, third(1));
  const sampleIn = new Uint8Array(ofSamples.length);
  const referenceIn = new Uint8Array(ofReference.length);
  eachPair(reference, samples, third(2), (i, j, distance) => {
    if (distance <= ofReference[i]) sampleIn[j] = 1;
    if (distance <= ofSamples[j]) referenceIn[i] = 1;
  });
  return { precision: share(sampleIn), recall: share(referenceIn) };
}

const share = (flags: Uint8Array): number => flags.reduce((sum, flag) => sum + flag, 0) / flags.length;

/** Squared distance of each vector to its k-th nearest other one. */
function radii(features: Features, neighbour: number, onShare: OnShare): Float64Array {
  const count = features.values.length / features.width;
  // The k nearest so far of each, nearest first; the vector itself is not among them.
  const nearest = Array.from({ length: count }, () => new Float64Array(neighbour).fill(Infinity));
  eachPair(features, features, onShare, (i, j, distance) => {
    if (i !== j) insert(nearest[i], distance);
  });
  return Float64Array.from(nearest, (row) => row[neighbour - 1]);
}

function insert(sorted: Float64Array, value: number): void {
  let at = sorted.length - 1;
  if (value >= sorted[at]) return;
  for (; at > 0 && sorted[at - 1] > value; at--) sorted[at] = sorted[at - 1];
  sorted[at] = value;
}

/** Rows of `b` that stay in the cache while rows of `a` pass by. */
const BLOCK = 64;

function eachPair(
  a: Features,
  b: Features,
  onShare: OnShare,
  visit: (i: number, j: number, squared: number) => void,
): void {
  const { width } = a;
  const [n, m] = [a.values.length / width, b.values.length / width];
  for (let block = 0; block < m; block += BLOCK) {
    onShare(block / m);
    for (let i = 0; i < n; i++) {
      for (let j = block; j < Math.min(m, block + BLOCK); j++) {
        let squared = 0;
        for (let x = i * width, y = j * width, end = x + width; x < end; x++, y++) {
          const difference = a.values[x] - b.values[y];
          squared += difference * difference;
        }
        visit(i, j, squared);
      }
    }
  }
}

function tooFew(count: number, neighbour: number): RuntimeError {
  return new RuntimeError({
    code: 'no-data',
    where: 'precision and recall',
    what: `a manifold takes at least ${neighbour + 1} pictures, one set has ${count}`,
    fix: 'give more pictures',
  });
}
