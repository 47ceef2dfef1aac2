/** The training step against PyTorch, by the interpreter: the loss and its gradient for every weight, in every block variant. */
import { describe, expect, it } from 'vitest';
import { resolveGradients } from '../../compiler/autodiff/index.ts';
import { defineModel, gradients } from '../../compiler/dsl/index.ts';
import { traceEntry } from '../../compiler/dsl/model.ts';
import { interpret } from '../../compiler/ops/index.ts';
import { lossTerms } from '../../models/loss.ts';
import { processOf } from '../../models/schedule.ts';
import { goldenCases, readGolden, relativeError } from './golden.ts';
import { trainCase } from './train-case.ts';

/** The reference is computed in float64 and rounded once to float32. */
const TOLERANCE = 1e-6;

describe('the loss equals PyTorch', () => {
  it.each(goldenCases('loss-'))('%s', async (stem) => {
    const { config, values, shapes } = await readGolden(stem);
    const shape = shapes['input.x0'];
    const model = defineModel({
      config: {},
      entries: {
        main(e) {
          const out = e.input('out', shapes['input.out']);
          const [x0, noise] = ['x0', 'noise'].map((name) => e.input(name, shape));
          const process = processOf(config.schedule === 'linear' ? 'linear' : 'squaredcos');
          const t = e.input('t', [shape[0]], 'i32');
          const [eps, v] = out.split(2, 1);
          const { mse, vb } = lossTerms(process, t, x0, noise, () => ({ eps, v }));
          const [grad] = gradients(mse.add(vb).mean(), [out]);
          return { mse, vlb: vb, grad };
        },
      },
    });
    const bindings = Object.fromEntries(Object.entries(values).map(([name, v]) => [name.replace('input.', ''), v]));
    const graph = resolveGradients(traceEntry(model, 'main', { batch: shape[0] }).graph);
    const { outputs } = interpret(graph, bindings);
    for (const name of ['mse', 'vlb', 'grad'])
      expect(relativeError(outputs[name].data, values[`output.${name}`]), name).toBeLessThan(TOLERANCE);
  });
});

describe('the gradients of all weights equal PyTorch', () => {
  it.each(goldenCases('train-'))('%s', async (stem) => {
    const { graph, bindings, check } = await trainCase(stem);
    const { outputs, updates } = interpret(resolveGradients(graph), bindings);
    const data = (of: typeof outputs) => Object.fromEntries(Object.entries(of).map(([name, x]) => [name, x.data]));
    check(data(outputs), data(updates), TOLERANCE);
  });
});
