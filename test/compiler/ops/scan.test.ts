/** Scans by passes over all elements beside scans that walk: infinite factors of what is not there, and the order on steady builds. */
import { expect, it } from 'vitest';
import { PORTABLE } from '../../../compiler/device.ts';
import { interpret } from '../../../compiler/ops/index.ts';
import { schedule } from '../../../compiler/pipeline.ts';
import { expand } from '../../../compiler/rewrite/expand.ts';
import { graphOf } from '../../helpers/build-graph.ts';

const scans = (lines: number, length: number) =>
  graphOf((f, input) => [f.op('scan', [input('x', [lines, length]), input('a', [lines, length])], { axis: 1 })]);

it('ignores what the factors before the first element come to', () => {
  const graph = scans(1, 4);
  const [name] = graph.outputs.map((output) => output.name);
  const bindings = { x: [0, 1, 1, 1], a: [1e30, 1e30, 0.5, 1] };
  for (const made of [graph, expand(graph, () => true)])
    expect([...interpret(made, bindings, { f32: true }).outputs[name].data]).toEqual([0, 1, 1.5, 2.5]);
});

it('adds up in one order whatever the batch, on steady builds', () => {
  const families = [1, 64].map((lines) => {
    const { regions } = schedule(scans(lines, 4096), { device: { ...PORTABLE, steady: true } });
    return regions.map(({ plan }) => plan.family);
  });
  expect(families).toEqual([['scan'], ['scan']]);
});
