/**
 * Work of jax-js as a contender. It computes nothing before it is asked for a result, and never what is disposed of by then: all results of
 * a turn are kept until the wait asks for each.
 */
import type { JaxArray } from './jax-block.ts';
import type { Contender } from './measure.ts';
import type { Jax } from './peers.ts';

export interface JaxContender extends Contender {
  /** The last result. */
  result(): Promise<Float32Array>;
  close(): void;
}

/** `run` asks for one result; `operands` are put away with the last. */
export function jaxContender(
  jax: Jax,
  name: string,
  run: () => JaxArray,
  operands: readonly JaxArray[] = [],
): JaxContender {
  let results: JaxArray[] = [];
  return {
    name,
    submit() {
      results.push(run());
    },
    async finish() {
      await jax.blockUntilReady(results);
      await jax.getWebGPUDevice().queue.onSubmittedWorkDone();
      for (const result of results.slice(0, -1)) result.dispose();
      results = results.slice(-1);
    },
    result: async () => (await results.at(-1)!.ref.data()) as Float32Array,
    close() {
      for (const array of [...results, ...operands]) array.dispose();
    },
  };
}
