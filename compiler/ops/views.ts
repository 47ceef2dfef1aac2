/** View ops: every element of the result is one element of an operand, found by index arithmetic. */
export * from './reindex.ts';
export * from './cut.ts';
export * from './gather.ts';
export * from './unfold.ts';
export { takeAlong } from './along.ts';
