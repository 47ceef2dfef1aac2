/** Pointwise ops: one element of the result from one element of each operand. Operands broadcast as in NumPy. */
export * from './unary.ts';
export * from './arithmetic.ts';
export * from './logic.ts';
export * from './select-cast.ts';
