/** Nothing is timed that is not right: values for benchmarks, and how far results are apart. */
export { relativeError } from '../../test/helpers/relative-error.ts';

/** Reproducible values in [-scale, scale), by seed ≥ 1. Marsaglia 2003, "Xorshift RNGs". */
export function values(length: number, seed: number, scale = 1): Float32Array {
  const out = new Float32Array(length);
  let state = (seed * 0x9e3779b9) >>> 0;
  for (let i = 0; i < length; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    out[i] = ((state >>> 0) / 2 ** 31 - 1) * scale;
  }
  return out;
}

/** Throws unless the error is a number within the bound. */
export function mustBeWithin(what: string, error: number, bound: number): void {
  if (!(error <= bound)) throw new Error(`${what} is wrong: relative error ${error}, allowed ${bound}`);
}
