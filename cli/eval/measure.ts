/** What is measured between two sets of pictures, from all that is known of each. */
import { frechetDistance } from '../../runtime/metrics/frechet.ts';
import { inceptionScore, softmaxRows } from '../../runtime/metrics/inception-score.ts';
import { precisionRecall, type Features, type OnShare } from '../../runtime/metrics/manifold.ts';
import { MomentsSum } from '../../runtime/metrics/moments.ts';
import type { Batch, Network } from './network.ts';
import type { PictureSet } from './pictures.ts';
import type { Statistics } from './statistics.ts';

/** A set of pictures as the measures see it. */
export interface Known {
  readonly statistics: Statistics;
  /** Of pictures, not of saved statistics. */
  readonly features?: Features;
  /** Distributions over classes [n,k]. */
  readonly classes?: { readonly count: number; readonly probabilities: Float64Array };
}

/** Each is left out where a set lacks what it takes. */
export interface Measures {
  readonly fid?: number;
  readonly sfid?: number;
  readonly inceptionScore?: number;
  readonly precision?: number;
  readonly recall?: number;
}

/** Runs all pictures through the network. */
export async function lookAt(
  pictures: PictureSet,
  network: Network,
  onPictures: (done: number) => void,
): Promise<Known> {
  const { pool: width = 0, spatial, logits } = network.widths;
  const pool = new MomentsSum(width);
  const places = spatial === undefined ? undefined : new MomentsSum(spatial);
  const values = new Float32Array(pictures.count * width);
  const scores = new Float32Array(pictures.count * (logits ?? 0));
  let done = 0;
  for await (const batch of network.featuresOf(pictures)) {
    values.set(batch.pool!, done * width);
    if (logits) scores.set(batch.logits!, done * logits);
    addTo(pool, batch.pool);
    addTo(places, batch.spatial);
    done = pool.count;
    onPictures(done);
  }
  return {
    statistics: { pool: pool.finish(), spatial: places?.finish() },
    features: { width, values },
    classes: logits ? { count: logits, probabilities: softmaxRows(scores, logits) } : undefined,
  };
}

const addTo = (sum: MomentsSum | undefined, features: Batch[keyof Batch]): void => {
  if (sum && features) sum.add(features);
};

/** Measures of `samples` by themselves, and of their distance to `reference` where there is one. */
export function measure(samples: Known, reference: Known | undefined, onShare: OnShare): Measures {
  const score = samples.classes && inceptionScore(samples.classes.probabilities, samples.classes.count);
  if (!reference) return { inceptionScore: score };
  const [a, b] = [samples.statistics, reference.statistics];
  const manifolds =
    samples.features && reference.features && precisionRecall(reference.features, samples.features, undefined, onShare);
  return {
    fid: frechetDistance(a.pool, b.pool),
    sfid: a.spatial && b.spatial && frechetDistance(a.spatial, b.spatial),
    inceptionScore: score,
    ...manifolds,
  };
}
