/** A training step of a model by the interpreter. */
import { traceEntry, type Model } from '../../compiler/dsl/model.ts';
import { sizeOf } from '../../compiler/ir/index.ts';
import { resolveGradients } from '../../compiler/autodiff/index.ts';
import { interpret, Random, type Bindings } from '../../compiler/ops/index.ts';
import { drawValues } from '../helpers/samples.ts';

/** One run of `trainStepGiven` from random weights and moments; `given` are other values, by name. */
export function runStep(
  model: Model,
  options: Record<string, unknown>,
  given: Record<string, readonly number[]> = {},
  f32 = false,
) {
  const traced = traceEntry(model, 'trainStepGiven', { batch: 2, lr: 1e-2, ...options });
  const random = new Random(1);
  const values: Record<string, ArrayLike<number>> = {
    t: [700, 20],
    labels: [1, 2],
    drop: [0, 1],
    'optimizer.step': [4],
    'optimizer.batch': [0],
    'optimizer.lossScale': [2 ** 16],
    'optimizer.goodSteps': [0],
    'optimizer.skipped': [0],
  };
  const leaves = [...traced.params, ...traced.states, ...traced.graph.inputs.map((node) => ({ node }))];
  for (const { node } of leaves) {
    const name = String(node.attrs.name);
    const isSquare = name.startsWith('optimizer.v.');
    values[name] ??= name.startsWith('optimizer.gradient.')
      ? new Float64Array(sizeOf(node.type.shape))
      : drawValues(random, node.type, isSquare ? [0.1, 1] : [-0.5, 0.5]);
  }
  const bindings: Bindings = { ...values, ...given };
  const { outputs, updates } = interpret(resolveGradients(traced.graph), bindings, { f32 });
  const dataOf = (found: typeof outputs) =>
    Object.fromEntries(Object.entries(found).map(([name, { data }]) => [name, Array.from(data)]));
  return { bindings, outputs: dataOf(outputs), updates: dataOf(updates) };
}
