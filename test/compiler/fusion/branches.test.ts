/**
 * What pieces of a product go through, done where the product stores them: one kernel, and the same values.
 * @once
 */
import { describe, expect, it } from 'vitest';
import { PORTABLE, type DeviceSpec } from '../../../compiler/device.ts';
import { branches } from '../../../compiler/fusion/branches.ts';
import { nodesOf, verify, type Node } from '../../../compiler/ir/index.ts';
import { interpret, opTable, Random, type Functional } from '../../../compiler/ops/index.ts';
import { graphOf } from '../../helpers/build-graph.ts';
import { bySubgroups, HARDWARE } from '../../helpers/devices.ts';
import { relativeError } from '../../helpers/relative-error.ts';
import { runSchedule } from '../../helpers/run-schedule.ts';
import { drawValues } from '../../helpers/samples.ts';
import { PASS } from '../../helpers/tolerances.ts';

const slice = (f: Functional, x: Node, axis: number, from: number, to: number) =>
  f.slice(
    x,
    x.type.shape.map((_, i) => (i === axis ? from : 0)),
    x.type.shape.map((n, i) => (i === axis ? to - from : n)),
  );

const CASES = {
  'a piece at the end, of whose rows a bias is': graphOf((f, input) => {
    const [shift, bias] = [input('shift', [28]), input('bias', [40])];
    const y = f.add(f.matmul(input('x', [19, 12]), input('w', [12, 40])), bias);
    const bent = f.unary('gelu', f.add(slice(f, y, 1, 12, 40), shift));
    return [f.reshape(slice(f, y, 1, 0, 12), [12, 19]), f.matmul(bent, input('v', [28, 9]))];
  }),
  'three pieces, one in the middle': graphOf((f, input) => {
    const y = f.matmul(input('x', [2, 17, 9]), input('w', [9, 30]));
    const [a, b, c] = [slice(f, y, 2, 0, 7), slice(f, y, 2, 7, 21), slice(f, y, 2, 21, 30)];
    return [
      f.matmul(f.tanh(a), input('u', [7, 5])),
      f.matmul(f.unary('silu', b), input('v', [14, 5])),
      f.matmul(c, input('t', [9, 5])),
    ];
  }),
  'channels of a picture, and a number for each': graphOf((f, input) => {
    const scale = input('scale', [16, 1]);
    const y = f.matmul(input('w', [24, 6]), input('x', [2, 6, 35]));
    const gate = f.sigmoid(f.mul(slice(f, y, 1, 8, 24), scale));
    return [f.matmul(input('u', [5, 16]), gate), f.matmul(input('v', [5, 8]), slice(f, y, 1, 0, 8))];
  }),
  'heads that a view puts first': graphOf((f, input) => {
    const y = f.reshape(f.matmul(input('x', [18, 8]), input('w', [8, 36])), [18, 3, 12]);
    const [a, b] = [0, 1].map((i) => slice(f, f.permute(y, [1, 0, 2]), 0, 2 * i, i + 2));
    return [f.matmul(f.exp(a), input('v', [12, 4])), f.matmul(b, input('t', [12, 4]))];
  }),
};

const DEVICES: readonly DeviceSpec[] = [PORTABLE, bySubgroups(8), HARDWARE];

describe.each(Object.entries(CASES))('%s', (_name, graph) => {
  const random = new Random(23);
  const bindings = Object.fromEntries(
    graph.inputs.map((node) => [String(node.attrs.name), drawValues(random, node.type)]),
  );
  const want = interpret(graph, bindings).outputs;
  it('are of the product', () => {
    const moved = branches(graph, { device: PORTABLE });
    const selects = nodesOf(moved).filter(({ op }) => op === 'select');
    expect(selects.length).toBeGreaterThan(0);
    const { outputs } = interpret(verify(moved, opTable), bindings);
    for (const [name, { data }] of Object.entries(want)) expect(relativeError(outputs[name].data, data)).toBe(0);
  });

  it.each(DEVICES)('as kernels of $name', (device) => {
    const { outputs } = runSchedule(graph, bindings, { device });
    for (const [name, { data }] of Object.entries(want)) expect(relativeError(outputs[name], data)).toBeLessThan(PASS);
  });
});
