/** How far results may be from float64, relative to its norm (docs/numbers.md). None is widened to make a test pass. */

/** One f32 kernel. */
export const KERNEL = 1e-5;
/** A whole forward or backward pass in f32. */
export const PASS = 1e-4;
/** A whole pass with f16 storage. */
export const HALF_PASS = 5e-3;
