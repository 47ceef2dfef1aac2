/**
 * Norms of heads inside of the product that computes them: its tiles hold whole stretches of rows, and a kernel gives what is made of them.
 * @once
 */
import { describe, expect, it } from 'vitest';
import { PORTABLE } from '../../../compiler/device.ts';
import type { Node } from '../../../compiler/ir/index.ts';
import { interpret, Random, type Functional } from '../../../compiler/ops/index.ts';
import { graphOf } from '../../helpers/build-graph.ts';
import { relativeError } from '../../helpers/relative-error.ts';
import { runSchedule } from '../../helpers/run-schedule.ts';
import { drawValues } from '../../helpers/samples.ts';
import { KERNEL } from '../../helpers/tolerances.ts';

const rms = (f: Functional, x: Node): Node =>
  f.mul(x, f.rsqrt(f.add(f.mean(f.square(x), [x.type.shape.length - 1]), 1e-6)));

/** Heads of 2·T rows, first of all axes but the examples. */
const heads = (f: Functional, y: Node, [T, h, d]: readonly number[]) =>
  f.permute(f.reshape(y, [2, T, h, d]), [0, 2, 1, 3]);

const CASES = {
  'an RMS norm with weights, of tiles that reach beyond the product': graphOf((f, input) => {
    const [x, w, weight] = [input('x', [2, 19, 24]), input('w', [24, 80]), input('weight', [16])];
    return [f.mul(rms(f, heads(f, f.matmul(x, w), [19, 5, 16])), weight)];
  }),
  'a layer norm, two reductions one after the other, with a bias of the product': graphOf((f, input) => {
    const [x, w, bias] = [input('x', [2, 33, 20]), input('w', [20, 64]), input('bias', [64])];
    const y = heads(f, f.add(f.matmul(x, w), bias), [33, 2, 32]);
    return [f.op('layer_norm', [y], { eps: 1e-5 })];
  }),
  'a softmax of few classes, beside what it is of': graphOf((f, input) => {
    const y = f.matmul(input('x', [37, 9]), input('w', [9, 8]));
    return [f.op('softmax', [y]), y];
  }),
  'lengths of stretches, one number for each': graphOf((f, input) => {
    const y = f.reshape(f.matmul(input('x', [40, 16]), input('w', [16, 96])), [40, 6, 16]);
    return [f.sqrt(f.sum(f.square(y), [2]))];
  }),
};

describe.each(Object.entries(CASES))('%s', (_name, graph) => {
  it('is one kernel, and right', () => {
    const random = new Random(31);
    const drawn = graph.inputs.map((node) => [String(node.attrs.name), drawValues(random, node.type)] as const);
    const bindings = Object.fromEntries(drawn);
    const { outputs, dispatches } = runSchedule(graph, bindings, { device: PORTABLE, verify: true });
    for (const [name, { data }] of Object.entries(interpret(graph, bindings).outputs))
      expect(relativeError(outputs[name], data)).toBeLessThan(KERNEL);
    expect(dispatches.map(({ kernel }) => kernel)).toHaveLength(1);
  });
});

const stays = (build: Parameters<typeof graphOf>[0]): number =>
  runSchedule(
    graphOf(build),
    Object.fromEntries(
      graphOf(build).inputs.map((node) => [String(node.attrs.name), drawValues(new Random(3), node.type)]),
    ),
    { device: PORTABLE },
  ).dispatches.length;

describe('rows keep their own kernel', () => {
  it('where tiles do not hold whole stretches', () => {
    expect(
      stays((f, input) => [rms(f, f.reshape(f.matmul(input('x', [32, 8]), input('w', [8, 144])), [32, 2, 72]))]),
    ).toBe(2);
  });
  it('where they run along another axis', () => {
    expect(
      stays((f, input) => [
        rms(f, f.permute(f.reshape(f.matmul(input('x', [32, 8]), input('w', [8, 64])), [32, 4, 16]), [1, 2, 0])),
      ]),
    ).toBe(2);
  });
  it('where what is made of them takes what another kernel computes of the product', () => {
    expect(
      stays((f, input) => {
        const y = f.matmul(input('x', [32, 8]), input('w', [8, 16]));
        return [f.mul(rms(f, y), f.matmul(y, input('v', [16, 16])))];
      }),
    ).toBeGreaterThan(1);
  });
});
