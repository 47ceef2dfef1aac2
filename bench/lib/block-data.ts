/** The DiT-S/2 block that is timed, and its values. */
import { dit, sizes, type DiTConfig } from '../../models/dit.ts';
import { values } from './check.ts';

export const TOKENS = 256;
export const config = dit({ ...sizes.S, patchSize: 2 }).config as DiTConfig;

export type Shapes = ReadonlyMap<string, readonly number[]>;

/** Of a weight or an input: weights of a size that keeps activations near 1. */
export function data(name: string, shape: readonly number[]): Float32Array {
  const length = shape.reduce((n, size) => n * size, 1);
  const scale = ['x', 'c', 'target'].includes(name) ? 1 : (3 / shape[shape.length - 1]) ** 0.5;
  // Seeds beyond 2³² would all be alike.
  const seed = [...name].reduce((hash, letter) => (hash * 31 + letter.charCodeAt(0)) % 65521, 0);
  return values(length, 1 + seed, scale);
}
