/** What a page gets: the runtime without files, checkpoints or a compiler. */
export { RuntimeError } from '../error.ts';
export type { RunnableModel, RunOptions } from '../model.ts';
export type { SampleOptions } from '../sample.ts';
export type { Measured, TrainOptions, TrainResult } from '../train.ts';
export type { Tensor } from '../tensor.ts';
export { load, type PageModel } from './load.ts';
export type { LoadOptions, LoadProgress } from './load.ts';
