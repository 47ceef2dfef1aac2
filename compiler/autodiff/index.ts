/** Differentiation of graphs. */
export { gradients } from './reverse.ts';
export { resolveGradients } from './resolve.ts';
