/** The DSL: all a model file may import. */
export { Tensor, type Operand } from './tensor.ts';
export * from './functions.ts';
export * from './indexing.ts';
export * from './ordering.ts';
export {
  conv2d,
  convTranspose2d,
  windows,
  type ConvOptions,
  type ConvTransposeOptions,
  type Pair,
} from './convolution.ts';
export * from './resize.ts';
export * from './rotary.ts';
export * from './scans.ts';
export { foriLoop, scan, type Tensors } from './loops.ts';
export { fixed, normal, ones, uniform, xavierUniform, zeros, type Init } from './init.ts';
export type { CheckpointLayout } from './checkpoint-layout.ts';
export {
  defineModel,
  Entry,
  Scope,
  type EntryFunction,
  type EntryOptions,
  type Model,
  type Parameter,
} from './model.ts';
export { DitcError } from '../ir/index.ts';
export type { DType, Shape } from '../ir/index.ts';
