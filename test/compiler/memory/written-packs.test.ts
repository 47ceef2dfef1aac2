/** Kernels that read and update parameters of one pack: what they write over they bind apart, and read nothing else of it. */
import { expect, it } from 'vitest';
import { PORTABLE, type DeviceSpec } from '../../../compiler/device.ts';
import { concat, defineModel, type Entry, type Tensor } from '../../../compiler/dsl/index.ts';
import { traceEntry } from '../../../compiler/dsl/model.ts';
import { nodesOf, type Node } from '../../../compiler/ir/index.ts';
import { interpret, Random } from '../../../compiler/ops/index.ts';
import { relativeError } from '../../helpers/relative-error.ts';
import { runSchedule } from '../../helpers/run-schedule.ts';
import { drawValues } from '../../helpers/samples.ts';

/** Parameters of 100 elements, of which the second starts where no binding does; new values of both, made together. */
const SIZE = 10;

type Next = (a: Tensor, b: Tensor, s: Tensor) => readonly [Tensor, Tensor];

const STEPS: Record<string, Next> = {
  'each is scaled': (a, b, s) => [a.mul(s), b.mul(s)],
  'one gains the other': (a, b, s) => [a.add(b), b.mul(s)],
  'they change places': (a, b) => [b.mul(2), a.mul(2)],
  'both lose what they share': (a, b, s) => [a.sub(a.mul(b).add(s)), b.sub(a.mul(b).add(s))],
  'both lose a sum of rows of one': (a, b, s) => {
    const sums = a.mul(s).sum(1).unsqueeze(1);
    return [a.sub(sums), b.sub(sums)];
  },
};

const stepOf = (next: Next) => (e: Entry) => {
  const [x, s] = [e.input('x', [5, SIZE]), e.input('s', [SIZE, SIZE])];
  const [a, b] = ['a', 'b'].map((name) => e.params.param(name, [SIZE, SIZE]));
  const [nextA, nextB] = next(a, b, s);
  e.update(a, nextA);
  e.update(b, nextB);
  return { y: x.matmul(concat([a, b], 0).transpose()) };
};

const aligned = (bytes: number): DeviceSpec => ({
  ...PORTABLE,
  limits: { ...PORTABLE.limits, minStorageBufferOffsetAlignment: bytes },
});

it.each(
  Object.keys(STEPS).flatMap((name) => [
    { name, alignment: 256 },
    { name, alignment: 16 },
  ]),
)('$name, where bindings start at multiples of $alignment', ({ name, alignment }) => {
  const { graph } = traceEntry(defineModel({ config: {}, entries: { step: stepOf(STEPS[name]) } }), 'step', {
    batch: 1,
  });
  const random = new Random(1);
  const leaves = nodesOf(graph).filter(({ op }) => ['param', 'input'].includes(op));
  const draw = ({ attrs, type }: Node) => [String(attrs.name), drawValues(random, type, [0.1, 1])] as const;
  const values = Object.fromEntries(leaves.map(draw));
  const { scheduled, dispatches, ...ran } = runSchedule(graph, values, { device: aligned(alignment), verify: true });
  expect(dispatches.flatMap(({ resources }) => resources.filter(({ kind }) => kind === 'pack'))).toHaveLength(1);
  // Where bindings of the two have nothing in common, each is written over, if it is read at no other place.
  const isOver = alignment === 16 && name !== 'both lose a sum of rows of one';
  expect(scheduled.homes.size === 2).toBe(isOver);
  const { outputs, updates } = interpret(graph, values);
  expect(relativeError(ran.outputs.y, outputs.y.data)).toBeLessThan(1e-6);
  for (const [param, { data }] of Object.entries(updates))
    expect(relativeError(ran.updates[param], data), param).toBeLessThan(1e-6);
});
