export * from './error.ts';
export * from './types.ts';
export * from './graph.ts';
export * from './remarks.ts';
export * from './print.ts';
export * from './parse.ts';
export * from './verify.ts';
export * from './names.ts';
