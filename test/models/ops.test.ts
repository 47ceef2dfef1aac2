/** Functions of the DSL against PyTorch, values and gradients: by the interpreter, and as kernels of devices of all kinds. */
import { describe, expect, it } from 'vitest';
import { PORTABLE, type DeviceSpec } from '../../compiler/device.ts';
import * as dsl from '../../compiler/dsl/index.ts';
import { defineModel, type DType, type Tensor } from '../../compiler/dsl/index.ts';
import { traceEntry } from '../../compiler/dsl/model.ts';
import { resolveGradients } from '../../compiler/autodiff/resolve.ts';
import { interpret } from '../../compiler/ops/index.ts';
import { bySubgroups } from '../helpers/devices.ts';
import { runSchedule } from '../helpers/run-schedule.ts';
import { relativeError } from '../helpers/relative-error.ts';
import { readGolden } from './golden.ts';

interface Case {
  readonly of: string;
  readonly operands: readonly string[];
  readonly options: Readonly<Record<string, unknown>>;
}

type Operands = Readonly<Record<string, Tensor>>;
type Options = Readonly<Record<string, never>>;

/** The call that a case is of. */
const CALLS: Readonly<Record<string, (t: Operands, o: Options) => Tensor | readonly Tensor[]>> = {
  conv2d: ({ x, weight, bias }, o) => dsl.conv2d(x, weight, bias, o),
  convTranspose2d: ({ x, weight, bias }, o) => dsl.convTranspose2d(x, weight, bias, o),
  resize: ({ x }, { size, ...o }) => dsl.resize(x, size, o),
  groupNorm: ({ x }, o) => dsl.groupNorm(x, o.groups, o.eps),
  softplus: ({ x }) => dsl.softplus(x),
  logSumExp: ({ x }, { axis, ...o }) => dsl.logSumExp(x, axis, o),
  crossEntropy: ({ x, labels }, o) => dsl.crossEntropy(x, labels, o),
  takeAlong: ({ x, index }, o) => dsl.takeAlong(x, index, o.axis),
  take: ({ x, index }, o) => dsl.take(x, index, o.axis),
  scatterAdd: ({ x, index, updates }, o) => dsl.scatterAdd(x, index, updates, o.axis),
  flip: ({ x }, o) => dsl.flip(x, o.axes),
  setSlice: ({ x, value }, o) => dsl.setSlice(x, o.axis, o.start, value),
  argmax: ({ x }, o) => dsl.argmax(x, o.axis),
  argmin: ({ x }, o) => dsl.argmin(x, o.axis),
  topK: ({ x }, o) => dsl.topK(x, o.k, o.axis),
  min: ({ x }, o) => x.min(o.axes),
  max: ({ x }, o) => x.max(o.axes),
  sum: ({ x }, o) => x.sum(o.axes),
  any: ({ x }, o) => x.gt(o.above).any(o.axes).cast('i32'),
  all: ({ x }, o) => x.gt(o.above).all(o.axes).cast('i32'),
  neg: ({ x }) => x.neg(),
  cumsum: ({ x }, o) => dsl.cumsum(x, o.axis),
  recurrence: ({ a, b }, o) => dsl.recurrence(a, b, o.axis),
  rotary: ({ x }, { pairs, grid, base }) => dsl.rotary(x, dsl.rotaryAngles(grid, x.shape.at(-1)!, base), { pairs }),
};

const golden = await readGolden('ops');
const cases = Object.entries(golden.config as unknown as Record<string, Case>);
const valueOf = (name: string, key: string) => golden.values[`${name}.${key}`];
const isWhole = (name: string, key: string) => valueOf(name, key) instanceof Int32Array;

function traced(name: string, { of, operands, options }: Case) {
  const forward = (e: dsl.Entry) => {
    const dtype = (key: string): DType => (isWhole(name, key) ? 'i32' : 'f32');
    const t = Object.fromEntries(
      operands.map((key) => [key, e.input(key, golden.shapes[`${name}.${key}`], dtype(key))] as const),
    );
    const outs = [CALLS[of](t, options as Options)].flat() as Tensor[];
    const results: Record<string, Tensor> = Object.fromEntries(outs.map((out, i) => [`out${i || ''}`, out]));
    const wrt = operands.filter((key) => valueOf(name, `d.${key}`));
    if (!wrt.length) return results;
    const loss = outs[0].mul(e.input('r', golden.shapes[`${name}.r`])).sum();
    dsl.gradients(loss, wrt.map((key) => t[key])).forEach((d, i) => (results[`d.${wrt[i]}`] = d)); // prettier-ignore
    return results;
  };
  const { graph } = traceEntry(defineModel({ config: {}, entries: { forward } }), 'forward', { batch: 1 });
  const keys = graph.inputs.map(({ attrs }) => String(attrs.name));
  return { graph, bindings: Object.fromEntries(keys.map((key) => [key, valueOf(name, key)])) };
}

function expectGolden(name: string, outputs: Readonly<Record<string, ArrayLike<number>>>, most: number): void {
  for (const [key, got] of Object.entries(outputs)) {
    const want = valueOf(name, key);
    if (isWhole(name, key)) expect([...Array.from(got)], key).toEqual([...Array.from(want)]);
    else expect(relativeError(got, want), key).toBeLessThan(most);
  }
}

const DEVICES: readonly DeviceSpec[] = [PORTABLE, bySubgroups(8)];

describe.each(cases)('%s', (name, found) => {
  const { graph, bindings } = traced(name, found);

  it('is what PyTorch gives', () => {
    const { outputs } = interpret(resolveGradients(graph), bindings);
    expectGolden(name, Object.fromEntries(Object.entries(outputs).map(([key, { data }]) => [key, data])), 1e-6);
  });

  it.each(DEVICES)('as kernels of $name', (device) => {
    expectGolden(name, runSchedule(graph, bindings, { device, verify: true }).outputs, 1e-5);
  });
});
