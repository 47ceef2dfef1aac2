/** Mean and covariance of feature vectors that come in batches, in float64, without keeping any of them. */
import { RuntimeError } from '../error.ts';

/** Mean [d] and unbiased covariance [d,d] (row-major) of features; NumPy's `mean(axis=0)` and `cov(rowvar=False)`. */
export interface Moments {
  readonly mean: Float64Array;
  readonly covariance: Float64Array;
}

/**
 * Adds up vectors and their outer products, both from the first vector on: what all vectors share cancels before it can cost
 * digits (the shifted-data algorithm; Chan, Golub & LeVeque 1983).
 */
export class MomentsSum {
  count = 0;
  private readonly width: number;
  private readonly shift: Float64Array;
  private readonly sum: Float64Array;
  /** The upper triangle; what lies below it stays zero. */
  private readonly products: Float64Array;

  constructor(width: number) {
    this.width = width;
    this.shift = new Float64Array(width);
    this.sum = new Float64Array(width);
    this.products = new Float64Array(width * width);
  }

  /** Takes in feature vectors [n,d], row-major. @throws RuntimeError `not-finite` naming the vector and the element. */
  add(features: ArrayLike<number>): void {
    const { width, shift, sum, products } = this;
    const row = new Float64Array(width);
    for (let start = 0; start < features.length; start += width) {
      for (let i = 0; i < width; i++) {
        const value = features[start + i];
        if (!Number.isFinite(value)) throw notFinite(this.count, i, value);
        if (this.count === 0) shift[i] = value;
        row[i] = value - shift[i];
        sum[i] += row[i];
      }
      for (let i = 0; i < width; i++) {
        const factor = row[i];
        if (factor !== 0) for (let j = i, at = i * width + i; j < width; j++, at++) products[at] += factor * row[j];
      }
      this.count++;
    }
  }

  /** @throws RuntimeError `no-data` for fewer than two vectors, which have no covariance. */
  finish(): Moments {
    const { count, width, shift, sum, products } = this;
    if (count < 2) {
      const what = `a covariance takes at least 2 pictures, these are ${count}`;
      throw new RuntimeError({ code: 'no-data', where: 'statistics', what, fix: 'give more pictures' });
    }
    const covariance = new Float64Array(width * width);
    for (let i = 0; i < width; i++) {
      for (let j = i; j < width; j++) {
        const value = (products[i * width + j] - (sum[i] * sum[j]) / count) / (count - 1);
        covariance[i * width + j] = covariance[j * width + i] = value;
      }
    }
    return { mean: shift.map((value, i) => value + sum[i] / count), covariance };
  }
}

function notFinite(vector: number, element: number, value: number): RuntimeError {
  return new RuntimeError({
    code: 'not-finite',
    where: 'features',
    what: `element ${element} of picture ${vector} is ${value}`,
    fix: 'check the pictures and the weights of the features',
  });
}
