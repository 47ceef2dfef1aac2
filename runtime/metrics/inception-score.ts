/** The inception score (Salimans et al. 2016, section 4), split as ADM's evaluator splits it. */

/** Pictures a split; the last one may hold fewer. */
const SPLIT = 5000;

/**
 * exp of the mean over pictures of KL(p(y|x) ‖ p(y)), each split by itself, averaged over the splits. `probabilities` [n,k],
 * row-major, each row a distribution over k classes.
 */
export function inceptionScore(probabilities: ArrayLike<number>, classes: number, split = SPLIT): number {
  const count = probabilities.length / classes;
  const scores: number[] = [];
  for (let first = 0; first < count; first += split) {
    scores.push(splitScore(probabilities, classes, first, Math.min(split, count - first)));
  }
  return scores.reduce((sum, score) => sum + score, 0) / scores.length;
}

function splitScore(probabilities: ArrayLike<number>, classes: number, first: number, count: number): number {
  const marginal = new Float64Array(classes);
  let entropy = 0;
  for (let at = first * classes; at < (first + count) * classes; at++) {
    const p = probabilities[at];
    marginal[at % classes] += p / count;
    entropy += plogp(p) / count;
  }
  return Math.exp(entropy - marginal.reduce((sum, p) => sum + plogp(p), 0));
}

const plogp = (p: number): number => (p > 0 ? p * Math.log(p) : 0);

/** Logits [n,k] to distributions, row by row. */
export function softmaxRows(logits: ArrayLike<number>, classes: number): Float64Array {
  const out = Float64Array.from(logits);
  for (let start = 0; start < out.length; start += classes) {
    const row = out.subarray(start, start + classes);
    const most = row.reduce((a, b) => Math.max(a, b));
    row.forEach((value, i) => (row[i] = Math.exp(value - most)));
    const total = row.reduce((sum, value) => sum + value);
    row.forEach((value, i) => (row[i] = value / total));
  }
  return out;
}
