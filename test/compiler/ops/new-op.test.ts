/**
 * An op of each kind that the compiler has never heard of: its record alone is enough to fuse it, plan it and compute it, on
 * every device. Kernels run in this process (helpers/run-kernel.ts).
 */
import { describe, expect, it } from 'vitest';
import { parseGraph } from '../../../compiler/ir/index.ts';
import {
  attrNumber,
  defineOp,
  dense,
  elementwise,
  fill,
  forEachIndex,
  free,
  interpret,
  opDef,
  opTable,
  perElement,
  Random,
  type Combiner,
} from '../../../compiler/ops/index.ts';
import { PORTABLE, type DeviceSpec } from '../../../compiler/device.ts';
import { bySubgroups } from '../../helpers/devices.ts';
import { relativeError } from '../../helpers/relative-error.ts';
import { runSchedule } from '../../helpers/run-schedule.ts';
import { drawValues } from '../../helpers/samples.ts';

const DEVICES: readonly DeviceSpec[] = [PORTABLE, { ...PORTABLE, kind: 'software' }, bySubgroups(4), bySubgroups(8)];

defineOp({
  name: 'softsign',
  doc: 'x / (1 + |x|)',
  kind: 'pointwise',
  type: ([x]) => x,
  reference: elementwise((x) => x / (1 + Math.abs(x))),
  gradient: 'none',
  cost: perElement(3),
  sample: () => ({ inputs: [], attrs: {} }),
  wgsl: {
    expression: ([x]) => `softsign(${x})`,
    helper: 'fn softsign(x: f32) -> f32 { return x / (1.0 + abs(x)); }\n',
  },
});

/** The columns again and again. */
defineOp({
  name: 'repeat_columns',
  doc: 'x […, n] as […, n·times]: column j is x at j mod n.',
  kind: 'view',
  type: ([x], attrs) => ({ dtype: x.dtype, shape: x.shape.with(-1, x.shape.at(-1)! * attrNumber(attrs, 'times')) }),
  reference: ([x], _attrs, type) => {
    const [n, wide] = [x.shape.at(-1)!, type.shape.at(-1)!];
    const out = dense(type);
    out.data.forEach((_, i) => (out.data[i] = x.data[Math.floor(i / wide) * n + ((i % wide) % n)]));
    return out;
  },
  view: {
    sources: (ix, index, { inputs: [x] }) => {
      const [, column] = ix.divmod(index.at(-1)!, x.type.shape.at(-1)!);
      return [{ operand: 0, index: [...index.slice(0, -1), column] }];
    },
  },
  gradient: 'none',
  cost: free,
  sample: () => ({ inputs: [], attrs: {} }),
});

/** A view of two operands and a filler. */
defineOp({
  name: 'corners',
  doc: 'x [a, b] before y [c, d] along both axes, [a + c, b + d]; −1 in the other corners.',
  kind: 'view',
  type: ([x, y]) => ({ dtype: x.dtype, shape: x.shape.map((n, axis) => n + y.shape[axis]) }),
  reference: ([x, y], _attrs, type) =>
    fill(type, ([i, j]) => {
      const [a, b] = x.shape;
      if (i < a && j < b) return x.data[i * b + j];
      return i >= a && j >= b ? y.data[(i - a) * y.shape[1] + j - b] : -1;
    }),
  view: {
    sources: (_ix, index, { inputs: [x, y] }) => {
      const [a, b] = x.type.shape;
      const [c, d] = y.type.shape;
      return [
        { operand: 0, index, bounds: [a, b].map((to, axis) => ({ axis, from: 0, to })) },
        {
          operand: 1,
          index,
          bounds: [
            [a, a + c],
            [b, b + d],
          ].map(([from, to], axis) => ({ axis, from, to })),
        },
      ];
    },
    filler: () => -1,
  },
  gradient: 'none',
  cost: free,
  sample: () => ({ inputs: [], attrs: {} }),
});

function reduction(name: string, combiner: Combiner, f: (a: number, x: number) => number): void {
  const { type, cost, sample } = opDef('reduce_sum');
  defineOp({
    ...{ name, doc: name, kind: 'reduce', type, cost, sample, gradient: 'none', reduction: combiner },
    reference: ([x], attrs, type) => {
      const axes = attrs.axes as readonly number[];
      const out = dense(type);
      out.data.fill(combiner.identity);
      forEachIndex(x.shape, (index, flat) => {
        const at = index.reduce((sum, i, axis) => sum * type.shape[axis] + (axes.includes(axis) ? 0 : i), 0);
        out.data[at] = f(out.data[at], x.data[flat]);
      });
      return out;
    },
  });
}

reduction(
  'reduce_least',
  { identity: Infinity, combine: 'min', noun: 'min', subgroup: { fn: 'subgroupMin' } },
  Math.min,
);
// What WGSL has no subgroup op for, or none that is named, is shuffled.
reduction('reduce_product', { identity: 1, combine: 'mul', noun: 'product' }, (a, x) => a * x);

const matmul = opDef('matmul');
defineOp({ ...matmul, name: 'times', kind: 'contract', contraction: 'product' });

/** Σ |x − y| over what a product would multiply: no kernel does that, so it says what it stands for. */
defineOp({
  ...matmul,
  name: 'distances',
  kind: 'contract',
  contraction: 'other',
  factors: undefined,
  reference: ([x, y], _attrs, type) =>
    fill(type, ([i, j]) => {
      const [k, n] = y.shape;
      let sum = 0;
      for (let l = 0; l < k; l++) sum += Math.abs(x.data[i * k + l] - y.data[l * n + j]);
      return sum;
    }),
  expand: (f, [x, y]) => {
    const [m, k] = x.type.shape;
    const [, n] = y.type.shape;
    const apart = f.unary('abs', f.sub(f.reshape(x, [m, k, 1]), f.reshape(y, [1, k, n])));
    return f.reshape(f.sum(apart, [1]), [m, n]);
  },
});

defineOp({
  name: 'swish_gate',
  doc: 'softsign(x)·y',
  kind: 'composite',
  type: ([x]) => x,
  reference: elementwise((x, y) => (x / (1 + Math.abs(x))) * y),
  gradient: 'none',
  cost: perElement(4),
  sample: () => ({ inputs: [], attrs: {} }),
  expand: (f, [x, y]) => f.mul(f.unary('softsign', x), y),
});

/** Each beside known ops, before and after them: so that it is fused where its kind is. */
const GRAPHS: Readonly<Record<string, string>> = {
  'a pointwise op': `%x: f32[5,7], %y: f32[5,7]) {
    %0 = softsign %x : f32[5,7]
    %1 = add %0, %y : f32[5,7]`,
  'a view': `%x: f32[5,6], %y: f32[5,6]) {
    %0 = exp %x : f32[5,6]
    %1 = repeat_columns %0 {times = 3} : f32[5,18]
    %2 = repeat_columns %y {times = 3} : f32[5,18]
    %3 = mul %1, %2 : f32[5,18]`,
  'a view that a product reads': `%x: f32[20,8], %y: f32[24,18]) {
    %0 = repeat_columns %x {times = 3} : f32[20,24]
    %1 = matmul %0, %y : f32[20,18]`,
  'a view behind a product': `%x: f32[20,24], %y: f32[24,18]) {
    %0 = matmul %x, %y : f32[20,18]
    %1 = repeat_columns %0 {times = 2} : f32[20,36]`,
  'a view of several operands, with a filler': `%x: f32[5,6], %y: f32[3,8]) {
    %0 = exp %x : f32[5,6]
    %1 = corners %0, %y : f32[8,14]
    %2 = sin %1 : f32[8,14]`,
  'a reduction of rows': `%x: f32[5,70]) {
    %0 = sin %x : f32[5,70]
    %1 = reduce_least %0 {axes = [1]} : f32[5,1]
    %2 = sub %0, %1 : f32[5,70]`,
  'a reduction of columns, without a subgroup op': `%x: f32[33,6]) {
    %0 = cos %x : f32[33,6]
    %1 = reduce_product %0 {axes = [0]} : f32[1,6]
    %2 = exp %1 : f32[1,6]`,
  'a reduction of long rows, without a subgroup op': `%x: f32[2,300], %y: f32[2,300]) {
    %0 = mul %x, %y : f32[2,300]
    %1 = cos %0 : f32[2,300]
    %2 = reduce_product %1 {axes = [1]} : f32[2,1]
    %3 = reduce_least %1 {axes = [1]} : f32[2,1]
    %4 = add %2, %3 : f32[2,1]`,
  'a product of a few rows': `%x: f32[2,40], %y: f32[40,12]) {
    %0 = times %x, %y : f32[2,12]
    %1 = gelu %0 : f32[2,12]`,
  'a product of many rows': `%x: f32[70,40], %y: f32[40,66], %bias: f32[66]) {
    %0 = times %x, %y : f32[70,66]
    %1 = add %0, %bias : f32[70,66]`,
  'a contraction that no kernel computes': `%x: f32[9,10], %y: f32[10,7]) {
    %0 = distances %x, %y : f32[9,7]
    %1 = exp %0 : f32[9,7]`,
  'a composite': `%x: f32[5,7], %y: f32[5,7]) {
    %0 = swish_gate %x, %y : f32[5,7]`,
};

describe.each(Object.entries(GRAPHS))('%s that only its record knows', (_, body) => {
  const result = [...body.matchAll(/(%\d) =/g)].at(-1)![1];
  const graph = parseGraph(`graph @g(${body}\n    return out = ${result}\n  }`, opTable);
  const random = new Random(7);
  const bindings = Object.fromEntries(
    graph.inputs.map((node) => [String(node.attrs.name), drawValues(random, node.type)]),
  );
  const want = interpret(graph, bindings).outputs.out.data;

  it.each(DEVICES)('on $name, $kind', (device) => {
    const { out } = runSchedule(graph, bindings, { device, verify: true }).outputs;
    expect(relativeError(out, want)).toBeLessThan(1e-5);
  });
});

describe('what a record does not say is told, not computed as something else', () => {
  const broken = (graph: string) => () => runSchedule(parseGraph(graph, opTable), {}, { device: PORTABLE });

  it('a contraction without a kernel has to be expanded', () => {
    const { expand: _, ...unsaid } = opDef('distances');
    defineOp({ ...unsaid, name: 'mystery' } as Parameters<typeof defineOp>[0]);
    const text = `graph @g(%x: f32[9,10], %y: f32[10,7]) {
      %0 = mystery %x, %y : f32[9,7]
      return out = %0
    }`;
    expect(broken(text)).toThrow(/other/);
  });

  it('a view that points nowhere', () => {
    const { view: _, ...rest } = opDef('corners');
    const view = { sources: () => [], filler: undefined };
    defineOp({ ...rest, name: 'nowhere', view } as Parameters<typeof defineOp>[0]);
    const text = `graph @g(%x: f32[5,6], %y: f32[3,8]) {
      %0 = nowhere %x, %y : f32[8,14]
      return out = %0
    }`;
    expect(broken(text)).toThrow('nowhere');
  });
});
