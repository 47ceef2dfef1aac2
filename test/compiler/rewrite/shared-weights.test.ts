/**
 * Products of parts of a value by one matrix are one product, and the same values.
 * @once
 */
import { describe, expect, it } from 'vitest';
import { PORTABLE } from '../../../compiler/device.ts';
import { nodesOf, Remarks, verify, type Node } from '../../../compiler/ir/index.ts';
import { interpret, opTable, Random, type Functional } from '../../../compiler/ops/index.ts';
import { sharedWeights } from '../../../compiler/rewrite/shared-weights.ts';
import { graphOf } from '../../helpers/build-graph.ts';
import { relativeError } from '../../helpers/relative-error.ts';
import { runSchedule } from '../../helpers/run-schedule.ts';
import { drawValues } from '../../helpers/samples.ts';
import { PASS } from '../../helpers/tolerances.ts';

const slice = (f: Functional, x: Node, axis: number, from: number, size: number) =>
  f.slice(
    x,
    x.type.shape.map((_, i) => (i === axis ? from : 0)),
    x.type.shape.map((n, i) => (i === axis ? size : n)),
  );

const CASES = {
  'steps of a sequence': graphOf((f, input) => {
    const [x, w, b] = [input('x', [2, 3, 8]), input('w', [12, 8]), input('b', [12])];
    return [0, 1, 2].map((t) => f.op('linear', [f.reshape(slice(f, x, 1, t, 1), [2, 8]), w, b]));
  }),
  'stretches of rows, of several lengths': graphOf((f, input) => {
    const [x, w] = [input('x', [7, 8]), input('w', [8, 5])];
    return [f.tanh(f.matmul(slice(f, x, 0, 0, 3), w)), f.matmul(slice(f, x, 0, 3, 4), w)];
  }),
  'two values, each with its parts': graphOf((f, input) => {
    const [x, y, w] = [input('x', [4, 2, 6]), input('y', [4, 2, 6]), input('w', [6, 5])];
    return [x, y].flatMap((value) => [0, 2].map((from) => f.matmul(slice(f, value, 0, from, 2), w)));
  }),
};

describe.each(Object.entries(CASES))('%s', (_name, graph) => {
  const random = new Random(5);
  const bindings = Object.fromEntries(
    graph.inputs.map((node) => [String(node.attrs.name), drawValues(random, node.type)]),
  );
  const want = interpret(graph, bindings).outputs;

  it('are one product of each value', () => {
    const remarks = new Remarks();
    const joined = verify(sharedWeights(graph, { remarks }), opTable);
    const products = nodesOf(joined).filter(({ op }) => op === 'linear' || op === 'matmul').length;
    expect(products).toBe(graph.inputs.filter(({ attrs }) => /[xy]/.test(String(attrs.name))).length);
    expect(remarks.list).toHaveLength(products);
    const { outputs } = interpret(joined, bindings);
    for (const [name, { data }] of Object.entries(want)) expect(relativeError(outputs[name].data, data)).toBe(0);
  });

  it('as kernels', () => {
    const { outputs } = runSchedule(graph, bindings, { device: PORTABLE });
    for (const [name, { data }] of Object.entries(want)) expect(relativeError(outputs[name], data)).toBeLessThan(PASS);
  });
});
