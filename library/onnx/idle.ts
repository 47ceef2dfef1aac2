/**
 * Attributes of ops, and operands by their numbers, that change nothing of what ditc computes of them, or nothing where they are not looked at. All others
 * that an op does not look at are refused: `Call.checkRead`.
 */

/** The type that others compute statistics in: here it is f32. */
const STASH = ['stash_type'];
/** How numbers become floats of 8 bits, which are not read. */
const ROUNDING = ['saturate', 'round_mode'];

export const IDLE: Readonly<Record<string, readonly (string | number)[]>> = {
  // Heads are told to those that get rows; what a causal one sees behind a query is nothing.
  Attention: ['q_num_heads', 'kv_num_heads', 'right_window_size', 'softmax_precision', 'qk_matmul_output_mode'],
  // Of training.
  BatchNormalization: ['momentum'],
  Dropout: ['ratio', 'seed', 1],
  Cast: ROUNDING,
  CastLike: ROUNDING,
  GroupNormalization: STASH,
  If: ['then_branch', 'else_branch'],
  LayerNormalization: STASH,
  RMSNormalization: STASH,
  Range: STASH,
  // Of places, which are not computed.
  MaxPool: ['storage_order'],
  // Each of one way to resize; the region (roi) and what lies around it are of one that is refused.
  Resize: [
    ...['antialias', 'coordinate_transformation_mode', 'cubic_coeff_a', 'exclude_outside', 'nearest_mode'],
    ...['extrapolation_value', 1],
  ],
  // Sorted they are in any case.
  TopK: ['sorted'],
};
