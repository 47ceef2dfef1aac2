/** How data for training is read. */
import type { OnBad } from '../../data/dataset.ts';
import type { ImageShape } from '../../data/fit.ts';

export interface DataOptions {
  /** Of one picture as the model takes it. */
  readonly shape: ImageShape;
  /** How many classes the model has; without it any label will do. */
  readonly classes?: number;
  /** Class names in the order of their labels, such as a checkpoint's; else the data decides. */
  readonly labels?: readonly string[];
  /** Mirror half of the examples left to right, another half each epoch. */
  readonly flip?: boolean;
  /** What to do with a file or row that cannot be read; `refuse` unless given. */
  readonly onBad?: OnBad;
  /** Threads that decode pictures; one less than the cores unless given. 0 decodes in this thread. */
  readonly workers?: number;
  /** Bytes of decoded pictures to keep; 512 MiB unless given. */
  readonly cacheBytes?: number;
  /** What latents drawn from moments are multiplied with; the file says it unless given. */
  readonly latentScale?: number;
  /** Which of several IDX pairs: `train` unless given, or `test`. */
  readonly split?: string;
}
