/** The DSL: all a model file may import. */
export { Tensor, type Operand } from './tensor.ts';
export * from './functions.ts';
export { fixed, normal, ones, uniform, xavierUniform, zeros, type Init } from './init.ts';
export {
  defineModel,
  Entry,
  Scope,
  type EntryFunction,
  type EntryOptions,
  type CheckpointLayout,
  type Model,
  type Parameter,
} from './model.ts';
export { DitcError } from '../ir/index.ts';
export type { DType, Shape } from '../ir/index.ts';
