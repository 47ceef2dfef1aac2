/** A training that is resumed when all its steps are done and all that it writes is written: nothing is left to compute. */
import { DitcError } from '../../compiler/ir/error.ts';
import { RuntimeError } from '../../runtime/error.ts';
import { openCheckpointFile } from '../../runtime/node/checkpoint.ts';
import type { Job, TrainResult } from './job.ts';

/** What the weights' file says of itself. */
export const weightsMetadata = (model: string, step: number): Record<string, string> => ({
  'ditc.model': model,
  'ditc.step': String(step),
});

/** The result of a training that is finished; undefined while something is left to do. */
export async function finishedBefore({ request, loaded, folder, checkpoint }: Job): Promise<TrainResult | undefined> {
  const step = checkpoint?.record.step;
  if (step !== request.steps || !(await hasWeights(folder.weights, loaded.name, step, request.weightsDtype)))
    return undefined;
  // Its lock and half-written files go, had the training been killed at its very end; the page is the last that is written.
  const unlock = folder.lock();
  try {
    await folder.writePage(loaded.name, step);
  } finally {
    unlock();
  }
  const nothing = { loss: null, imagesPerSecond: null };
  return {
    step,
    taken: 0,
    finished: true,
    before: true,
    ...nothing,
    checkpoint: checkpoint?.path,
    weights: folder.weights,
  };
}

/** Whether the file holds the weights of that step, as they are asked for. They are written when all else is. */
async function hasWeights(path: string, model: string, step: number, dtype: string): Promise<boolean> {
  try {
    const file = await openCheckpointFile(path);
    await file.close();
    const isThat = Object.entries(weightsMetadata(model, step)).every(([key, value]) => file.metadata[key] === value);
    return isThat && [...file.tensors.values()].every((tensor) => tensor.dtype === dtype);
  } catch (error) {
    if (error instanceof DitcError || error instanceof RuntimeError) return false;
    throw error;
  }
}
