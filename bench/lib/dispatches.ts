/** Counts the dispatches of a run, whoever encodes them: every compute pass of this process passes here. */
import type { Contender } from './measure.ts';

export async function countDispatches(contender: Contender): Promise<number> {
  const pass = GPUComputePassEncoder.prototype;
  const dispatch = pass.dispatchWorkgroups;
  let count = 0;
  pass.dispatchWorkgroups = function (...grid) {
    count++;
    return dispatch.apply(this, grid);
  };
  try {
    await contender.submit();
    await contender.finish();
  } finally {
    pass.dispatchWorkgroups = dispatch;
  }
  return count;
}
