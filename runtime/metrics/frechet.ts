/**
 * The Fréchet distance between two Gaussians (Heusel et al. 2017, section 3), which FID and sFID are:
 * ‖μ₁ − μ₂‖² + tr Σ₁ + tr Σ₂ − 2 tr √(Σ₁Σ₂).
 */
import { EigenvalueDecomposition, Matrix } from 'ml-matrix';
import { RuntimeError } from '../error.ts';
import type { Moments } from './moments.ts';

/**
 * @throws RuntimeError `mismatch` when the statistics are of different widths.
 */
export function frechetDistance(a: Moments, b: Moments): number {
  if (a.mean.length !== b.mean.length) throw otherWidth(a, b);
  if (same(a.mean, b.mean) && same(a.covariance, b.covariance)) return 0;
  let distance = 0;
  a.mean.forEach((value, i) => (distance += (value - b.mean[i]) ** 2));
  // Rounding alone can leave a distance of nothing below zero.
  return Math.max(0, distance + trace(a) + trace(b) - 2 * traceOfRoot(a, b));
}

/**
 * tr √(Σ₁Σ₂). With Σ₁ = R·Rᵀ, the eigenvalues of Σ₁Σ₂ are those of RᵀΣ₂R, which is symmetric and has none below zero: no root
 * is imaginary, and covariances of fewer pictures than features, which are singular, need no other way.
 */
function traceOfRoot(a: Moments, b: Moments): number {
  const { values, vectors } = eigen(matrix(a));
  const root = Matrix.mul(vectors, 1).mulRowVector(values.map((value) => Math.sqrt(Math.max(0, value))));
  const inner = root.transpose().mmul(matrix(b)).mmul(root);
  return eigen(symmetric(inner)).values.reduce((sum, value) => sum + Math.sqrt(Math.max(0, value)), 0);
}

function eigen(of: Matrix): { values: number[]; vectors: Matrix } {
  const found = new EigenvalueDecomposition(of, { assumeSymmetric: true });
  return { values: found.realEigenvalues, vectors: found.eigenvectorMatrix };
}

const matrix = ({ mean, covariance }: Moments): Matrix => Matrix.from1DArray(mean.length, mean.length, covariance);

/** Without what rounding made of it. */
const symmetric = (of: Matrix): Matrix => Matrix.add(of, of.transpose()).mul(0.5);

function trace({ mean, covariance }: Moments): number {
  return mean.reduce((sum, _, i) => sum + covariance[i * (mean.length + 1)], 0);
}

const same = (a: Float64Array, b: Float64Array): boolean => a.every((value, i) => value === b[i]);

function otherWidth(a: Moments, b: Moments): RuntimeError {
  return new RuntimeError({
    code: 'mismatch',
    where: 'statistics',
    what: `features of ${a.mean.length} numbers cannot be compared with features of ${b.mean.length}`,
    fix: 'take both from the same layer of the same network',
  });
}
