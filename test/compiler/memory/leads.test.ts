/** Values among others that start where no binding does: parameters of packs, windows and parts of values, in f32 and in f16. */
import { describe, expect, it } from 'vitest';
import { resolveGradients } from '../../../compiler/autodiff/index.ts';
import { PORTABLE } from '../../../compiler/device.ts';
import { defineModel, exp } from '../../../compiler/dsl/index.ts';
import { traceEntry } from '../../../compiler/dsl/model.ts';
import { isOfStates } from '../../../compiler/fusion/regions.ts';
import { nodesOf, type Node } from '../../../compiler/ir/index.ts';
import { interpret, Random } from '../../../compiler/ops/index.ts';
import { passesFor } from '../../../compiler/pipeline.ts';
import { gatedStep } from '../../helpers/gated.ts';
import { relativeError } from '../../helpers/relative-error.ts';
import { runSchedule } from '../../helpers/run-schedule.ts';
import { drawValues } from '../../helpers/samples.ts';

const model = defineModel({
  config: {},
  entries: {
    /** A piece takes 8 · 20 elements: two and a half times what bindings start at multiples of. */
    packs: (e) => gatedStep(e, 3, {}, 20),
    /** Of 15 rows of 33 elements, products of five each. */
    windows(e) {
      const h = exp(e.input('x', [15, 7]).matmul(e.params.param('w', [7, 33])));
      const product = (i: number) => h.slice(0, 5 * i, 5 * i + 5).matmul(e.params.param(`w${i}`, [33, 9 + i]));
      return { a: product(0), b: product(1), c: product(2) };
    },
  },
});

describe.each(['f32', 'f16'] as const)('%s', (dtype) => {
  it.each([
    ['packs', ['arena', 'param']],
    ['windows', ['arena']],
  ] as const)('kernels add what lies before to their indices: %s', (entry, kinds) => {
    const { graph } = traceEntry(model, entry, { batch: 1 });
    const right = resolveGradients(graph);
    const random = new Random(1);
    const leaves = nodesOf(right).filter(({ op }) => ['param', 'state', 'input'].includes(op));
    const draw = ({ attrs, type }: Node) => [String(attrs.name), drawValues(random, type, [0.1, 1])] as const;
    const values = Object.fromEntries(leaves.map(draw));
    const options = { device: PORTABLE, passes: passesFor(dtype), verify: true, exact: true };
    const { scheduled, dispatches, ...ran } = runSchedule(graph, values, options);
    const led = dispatches.flatMap(({ resources }) => resources.filter((of) => 'lead' in of));
    expect([...new Set(led.map(({ kind }) => kind))].sort()).toEqual(kinds);
    // Sums of one kernel that lie side by side are written as one stretch.
    const together = scheduled.regions.flatMap(({ region }) => region.bundles.filter((bound) => !isOfStates(bound)));
    expect(together.length > 0).toBe(entry === 'packs');
    const { outputs, updates } = interpret(right, values);
    for (const [name, { data }] of Object.entries(outputs))
      expect(relativeError(ran.outputs[name], data), name).toBeLessThan(1e-9);
    for (const [name, { data }] of Object.entries(updates))
      expect(relativeError(ran.updates[name], data), name).toBeLessThan(1e-9);
  });
});
