/** Differentiation of graphs. */
export { gradients } from './reverse.ts';
