/** What runtimes that train have in common: the settings of the optimiser, and what they show. */
import type { Contender } from './measure.ts';

/** AdamW (Loshchilov & Hutter 2019), and the average of the weights after it. */
export const ADAMW = { lr: 1e-3, beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0.01, ema: 0.99 };

/** A run is a step. */
export interface Trainer extends Contender {
  /** Of the last step, before its update. */
  loss(): Promise<number>;
  /** The present value of a weight, of the mean of its gradients, and of its moving average. */
  weight(name: string): Promise<Float32Array>;
  moment(name: string): Promise<Float32Array>;
  average(name: string): Promise<Float32Array>;
}

/** What a step divides the moments by, from 1 on. */
export const bias = (step: number): readonly [first: number, second: number] => [
  1 - ADAMW.beta1 ** step,
  1 - ADAMW.beta2 ** step,
];
