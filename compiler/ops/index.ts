/** The op set. Importing it registers every op. */
export * from './define.ts';
export * from './dense.ts';
export * from './functional.ts';
export * from './interpret.ts';
export * from './random.ts';
export * as leaves from './leaves.ts';
export * as pointwise from './pointwise.ts';
export * as views from './views.ts';
export * as reductions from './reduce.ts';
export { matmul, matmulDims } from './contract.ts';
export * as composites from './composite.ts';
export { attention, attentionDims, LOWEST, scoreOperands } from './attention.ts';
export { gradientOperands, shareScores } from './attention-gradient.ts';
export { gradient } from './gradient.ts';
export { literal, SPECIAL_NUMBERS } from './wgsl-literal.ts';
export { philox, philox4x32 } from './philox.ts';
