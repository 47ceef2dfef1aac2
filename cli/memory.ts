/** Whether a training fits into the memory it may use: told from the plan, before anything is allocated. */
import { DitcError } from '../compiler/ir/error.ts';
import { bytes } from './text.ts';

/** What a batch takes, in bytes on the device. */
export interface Need {
  /** For the model and the training, at any batch. */
  readonly fixed: number;
  readonly total: number;
}

/** @throws DitcError `out-of-memory`, with the largest batch that fits, when `batch` takes more than `limit` bytes. */
export function checkMemory(limit: number, batch: number, needOf: (batch: number) => Need): void {
  const need = needOf(batch);
  if (need.total <= limit) return;
  const fits = largestBatch(limit, batch, needOf);
  const parts = `${bytes(need.fixed)} for weights, optimiser and samples, ${bytes(need.total - need.fixed)} for the batch`;
  throw new DitcError({
    code: 'out-of-memory',
    what: `batch ${batch} needs ${bytes(need.total)}, --memory allows ${bytes(limit)}`,
    why: parts,
    fix: fits ? `give --batch ${fits}, the largest that fits` : 'not even --batch 1 fits: train a smaller model',
  });
}

/** By bisection; each question is a compilation, so the first guess is that memory grows by the same for each example. */
function largestBatch(limit: number, batch: number, needOf: (batch: number) => Need): number {
  const [least, most] = [needOf(1).total, needOf(batch).total];
  if (least > limit) return 0;
  let [fits, fails] = [1, batch];
  let guess = 1 + Math.floor(((batch - 1) * (limit - least)) / (most - least));
  while (fails - fits > 1) {
    const at = Math.min(Math.max(guess, fits + 1), fails - 1);
    if (needOf(at).total <= limit) [fits, guess] = [at, at + 1];
    else [fails, guess] = [at, Math.floor((fits + at) / 2)];
  }
  return fits;
}
