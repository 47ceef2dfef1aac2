/**
 * Queries and keys normalised head by head: by the kernel of the product that computes them, and the values are right.
 * @once
 */
import { expect, it } from 'vitest';
import {
  defineModel,
  gelu,
  layerNorm,
  ones,
  rmsNorm,
  softmax,
  type Scope,
  type Tensor,
} from '../../../compiler/dsl/index.ts';
import { traceEntry, type Model } from '../../../compiler/dsl/model.ts';
import { PORTABLE } from '../../../compiler/device.ts';
import { interpret } from '../../../compiler/ops/index.ts';
import { relativeError } from '../../helpers/relative-error.ts';
import { runSchedule } from '../../helpers/run-schedule.ts';
import { PASS } from '../../helpers/tolerances.ts';
import { drawBindings } from '../../models/zoo.ts';
import { rotaryDit } from '../../models/zoo/rotary-dit.ts';

interface Kind {
  readonly heads: number;
  readonly groups: number;
  readonly norm: (x: Tensor) => Tensor;
  /** Whether the hidden values of an MLP are columns of the same product. */
  readonly isSingle: boolean;
}

const d = 32;
const T = 17;

function block(p: Scope, x: Tensor, { heads, groups, norm, isSingle }: Kind): Tensor {
  const N = x.shape[0];
  const hd = d / heads;
  const sizes = [d, groups * hd, groups * hd, ...(isSingle ? [2 * d] : [])];
  const widths = sizes.reduce((sum, n) => sum + n, 0);
  const [q, k, v, hidden] = p.linear('in', layerNorm(x), widths).split(sizes);
  const split = (y: Tensor, n: number) => y.reshape(N, T, n, hd).transpose(1, 2);
  const normed = (name: string, y: Tensor) => norm(y).mul(p.param(name, [hd], ones));
  const spread = (y: Tensor) =>
    y
      .unsqueeze(2)
      .broadcastTo(N, groups, heads / groups, T, hd)
      .reshape(N, heads, T, hd);
  const scores = normed('q_norm', split(q, heads)).matmul(spread(normed('k_norm', split(k, groups))).transpose());
  const mixed = softmax(scores.mul(hd ** -0.5))
    .matmul(spread(split(v, groups)))
    .transpose(1, 2)
    .reshape(N, T, d);
  const y = x.add(p.linear('out', mixed, d));
  return isSingle ? y.add(p.linear('fc2', gelu(hidden), d)) : y;
}

const modelOf = (kind: Kind): Model =>
  defineModel({
    config: {},
    entries: { forward: (e) => ({ y: block(e.params, e.input('x', [e.batch, T, d]), kind) }) },
  });

const CASES: Record<string, readonly [Model, kernels: number]> = {
  'as many keys as queries': [modelOf({ heads: 4, groups: 4, norm: rmsNorm, isSingle: false }), 3],
  'keys of few heads': [modelOf({ heads: 4, groups: 2, norm: rmsNorm, isSingle: false }), 3],
  'layer norms': [modelOf({ heads: 2, groups: 2, norm: layerNorm, isSingle: false }), 3],
  'hidden values beside them': [modelOf({ heads: 4, groups: 2, norm: rmsNorm, isSingle: true }), 3],
  'rotated by their position': [rotaryDit({ depth: 1 }), 6],
};

it.each(Object.entries(CASES))('%s', (_name, [model, kernels]) => {
  const { graph } = traceEntry(model, 'forward', { batch: 2 });
  const bindings = drawBindings(graph);
  const { outputs, dispatches } = runSchedule(graph, bindings, { device: PORTABLE, verify: true });
  for (const [name, { data }] of Object.entries(interpret(graph, bindings).outputs))
    expect(relativeError(outputs[name], data)).toBeLessThan(PASS);
  expect(dispatches.map(({ kernel }) => kernel)).toHaveLength(kernels);
});
