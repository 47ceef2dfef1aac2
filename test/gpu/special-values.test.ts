/**
 * Every pointwise function and reduction of NaN, infinities, zeros of either sign, the ends of float32, subnormal numbers and
 * ties: values and gradients of the interpreter and of kernels, against PyTorch's (test/golden/make_special.py).
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { resolveGradients } from '../../compiler/autodiff/resolve.ts';
import * as dsl from '../../compiler/dsl/index.ts';
import type { Entry, Tensor } from '../../compiler/dsl/index.ts';
import { traceEntry } from '../../compiler/dsl/model.ts';
import { GraphBuilder } from '../../compiler/ir/index.ts';
import { Functional, interpret, opTable } from '../../compiler/ops/index.ts';
import { compileModel } from '../../compiler/compile.ts';
import { Program } from '../../runtime/program.ts';
import { TestGpu } from '../helpers/gpu.ts';
import { readGolden, type Golden } from '../models/golden.ts';
import { KERNEL } from '../helpers/tolerances.ts';

const UNARY: Record<string, (x: Tensor) => Tensor> = {
  neg: (x) => x.neg(),
  abs: dsl.abs,
  relu: dsl.relu,
  floor: dsl.floor,
  exp: dsl.exp,
  log: dsl.log,
  sqrt: dsl.sqrt,
  rsqrt: (x) => x.rsqrt(),
  sin: dsl.sin,
  cos: dsl.cos,
  tanh: dsl.tanh,
  erf: dsl.erf,
  sigmoid: dsl.sigmoid,
  silu: dsl.silu,
  gelu: dsl.gelu,
  clamp: (x) => x.clamp(-1, 2),
  clampAbove: (x) => x.clamp(-Infinity, 1),
  square: (x) => x.square(),
  divByZero: (x) => x.div(0),
  divByMinusZero: (x) => x.div(-0),
  timesZero: (x) => x.mul(0),
  reciprocal: (x) => x.pow(-1),
  isFinite: dsl.isFinite,
  isNaN: dsl.isNaN,
  toBool: (x) => x.cast('bool'),
  whereNaN: (x) => dsl.where(x.gt(0), x.log(), x.neg()),
  powHalf: (x) => x.pow(0.5),
};
const BINARY: Record<string, (x: Tensor, y: Tensor) => Tensor> = {
  add: (x, y) => x.add(y),
  sub: (x, y) => x.sub(y),
  mul: (x, y) => x.mul(y),
  div: (x, y) => x.div(y),
  maximum: (x, y) => x.maximum(y),
  minimum: (x, y) => x.minimum(y),
  pow: (x, y) => x.pow(y),
  eq: (x, y) => x.eq(y),
  ne: (x, y) => x.ne(y),
  lt: (x, y) => x.lt(y),
  le: (x, y) => x.le(y),
  gt: (x, y) => x.gt(y),
  ge: (x, y) => x.ge(y),
  where: (x, y) => dsl.where(x.gt(y), x, y),
};
const REDUCED: Record<string, (x: Tensor) => Tensor> = {
  amax: (x) => x.max(-1, { keepDims: true }),
  sum: (x) => x.sum(-1, { keepDims: true }),
  mean: (x) => x.mean(-1, { keepDims: true }),
  softmax: (x) => dsl.softmax(x).mul(dsl.constant([1, 2, 3, 4, 5], [5])),
};

interface Case {
  readonly make: (...x: Tensor[]) => Tensor;
  readonly inputs: readonly string[];
}
const CASES: Record<string, Case> = Object.fromEntries([
  ...Object.entries(UNARY).map(([name, make]) => [name, { make, inputs: ['one'] }] as const),
  ...Object.entries(BINARY).map(([name, make]) => [name, { make, inputs: ['x', 'y'] }] as const),
  ...Object.entries(REDUCED).map(([name, make]) => [name, { make, inputs: ['rows'] }] as const),
]);

const SMALLEST_NORMAL = 2 ** -126;
/** A device may take subnormal numbers for 0: these times numbers up to 100 are what it then misses. */
const MISSED = 100 * SMALLEST_NORMAL;

let gpu: TestGpu;
let golden: Golden;
let program: Program;
const model = (shapes: Golden['shapes']) =>
  dsl.defineModel({
    config: {},
    entries: Object.fromEntries(
      Object.entries(CASES).map(([name, { make, inputs }]) => [
        name,
        (e: Entry) => {
          const x = inputs.map((input) => e.input(input, [...shapes[`input.${input}`]]));
          const y = make(...x);
          if (y.dtype === 'bool' || !golden.values[`f32.${name}.d0`]) return { y };
          const slopes = dsl.gradients(y.sum(), x).map((slope, i) => [`d${i}`, slope] as const);
          return { y, ...Object.fromEntries(slopes) };
        },
      ]),
    ),
  });

beforeAll(async () => {
  golden = await readGolden('special');
  gpu = await TestGpu.open();
  const options = { name: 'special', source: '', device: gpu.spec, verify: true, entryOptions: { batch: 1 } };
  const artefact = compileModel(model(golden.shapes), { ...options, entries: Object.keys(CASES) });
  program = await Program.create(gpu.opened.device, artefact);
}, 300_000);
afterAll(() => {
  program?.close();
  gpu?.close();
});

/** Elements that are none of the right values, as text. */
function wrong(name: string, part: string, got: ArrayLike<number>, rights: (i: number) => readonly number[]): string[] {
  return Array.from(got).flatMap((value, i) => {
    const right = rights(i);
    if (!right.length || right.some((want) => agrees(value, want, name in REDUCED ? 1e-6 : 0))) return [];
    const at = CASES[name].inputs.map((input) => golden.values[`input.${input}`]);
    const given = at.map((values) => (values.length === got.length ? values[i] : `[${i}]`));
    return [`${name}.${part} of ${given.join(', ')} is ${value}, not ${right.join(' or ')}`];
  });
}

function agrees(got: number, want: number, least: number): boolean {
  if (!Number.isFinite(want)) return Object.is(got, want);
  return Math.abs(got - want) <= Math.max(KERNEL * Math.abs(want), MISSED, least);
}

/** Beyond what `sin` promises. */
const isPromised = (name: string, x: number): boolean =>
  !(name === 'sin' || name === 'cos') || !(Math.abs(x) > 1e5 && Math.abs(x) < Infinity);

/**
 * What PyTorch has, in float64 and, of a device, in float32 too. A row of −∞ is even (docs/ops.md), and a device may take a
 * subnormal number for 0.
 */
function rightOf(name: string, part: string, onDevice: boolean): (i: number) => number[] {
  const wanted = (onDevice ? ['f64', 'f32'] : ['f64']).map((width) => golden.values[`${width}.${name}.${part}`]);
  const one = Array.from(golden.values['input.one']);
  return (i) => {
    if (name === 'softmax' && Math.floor(i / 5) === 4)
      return [part === 'y' ? 0.2 * ((i % 5) + 1) : 0.2 * ((i % 5) - 2)];
    const right = wanted.map((want) => want[i]);
    if (!(name in UNARY)) return right;
    if (!isPromised(name, one[i])) return [];
    const isSubnormal = one[i] !== 0 && Math.abs(one[i]) < SMALLEST_NORMAL;
    if (!onDevice || !isSubnormal) return right;
    const zero = one.findIndex((other) => Object.is(other, one[i] > 0 ? 0 : -0));
    return [...right, ...wanted.map((want) => want[zero])];
  };
}

const names = Object.keys(CASES);

it('covers what the script has', () => {
  const { unary, binary, reduced } = golden.config;
  expect(names).toEqual([unary, binary, reduced].flat());
});

describe('the interpreter has PyTorch’s values and gradients', () => {
  it.each(names)('%s', (name) => {
    const graph = resolveGradients(traceEntry(model(golden.shapes), name, { batch: 1 }).graph);
    const bindings = Object.fromEntries(CASES[name].inputs.map((input) => [input, golden.values[`input.${input}`]]));
    for (const [part, { data }] of Object.entries(interpret(graph, bindings).outputs))
      expect(wrong(name, part, data.map(Math.fround), rightOf(name, part, false))).toEqual([]);
  });
});

describe('kernels have them', () => {
  it.each(names)('%s', async (name) => {
    for (const input of CASES[name].inputs) program.write(input, Float32Array.from(golden.values[`input.${input}`]));
    await program.run(name);
    for (const { name: part } of program.manifest.entries[name].outputs) {
      const got = await program.readOutput(name, part);
      expect(wrong(name, part, got, rightOf(name, part, true))).toEqual([]);
    }
  });
});

describe('a NaN in a long row is its maximum, wherever it lies', () => {
  const LENGTH = 301;
  it.each([0, 7, 150, 300])('element %i', async (at) => {
    const f = new Functional(new GraphBuilder(opTable));
    const x = f.op('input', [], { name: 'x', dtype: 'f32', shape: [3, LENGTH] });
    const outputs = [{ name: 'y', node: f.reduceMax(x, [1]) }];
    const values = Float32Array.from({ length: 3 * LENGTH }, (_, i) => Math.sin(i));
    values[LENGTH + at] = NaN;
    values.fill(-Infinity, 2 * LENGTH);
    const graph = { name: 'rows', inputs: [x], outputs, updates: [] };
    for (const device of [gpu.spec, { ...gpu.spec, subgroups: null }]) {
      const { y } = (await gpu.runGraph(graph, { x: values }, device)).outputs;
      expect([...y]).toEqual([Math.max(...values.subarray(0, LENGTH)), NaN, -Infinity]);
    }
  });
});

describe('constants that are no numbers', () => {
  it('are values of a kernel', async () => {
    const f = new Functional(new GraphBuilder(opTable));
    const x = f.op('input', [], { name: 'x', dtype: 'f32', shape: [1] });
    const [zero, hundred, minus] = [0, 100, -1].map((value) => f.constant(value));
    const constants = [f.log(zero), f.exp(hundred), f.sqrt(minus), f.neg(f.log(zero)), f.constant(1e39)];
    const outputs = constants.map((node, i) => ({ name: `y${i}`, node: f.select(f.compare('gt', x, 0), node, x) }));
    const graph = { name: 'constants', inputs: [x], outputs, updates: [] };
    const got = (await gpu.runGraph(graph, { x: [1] })).outputs;
    expect(outputs.map(({ name }) => got[name][0])).toEqual([-Infinity, Infinity, NaN, Infinity, Infinity]);
  });

  it('become 0 as integers where they are NaN, and the ends where they are infinite', async () => {
    const f = new Functional(new GraphBuilder(opTable));
    const x = f.op('input', [], { name: 'x', dtype: 'f32', shape: [4] });
    const outputs = (['i32', 'u32'] as const).map((dtype) => ({ name: dtype, node: f.cast(x, dtype) }));
    const graph = { name: 'casts', inputs: [x], outputs, updates: [] };
    const bindings = { x: [NaN, Infinity, -Infinity, -1.5] };
    const want = { i32: [0, 2 ** 31 - 1, -(2 ** 31), -1], u32: [0, 2 ** 32 - 1, 0, 0] };
    const [got, known] = [(await gpu.runGraph(graph, bindings)).outputs, interpret(graph, bindings).outputs];
    for (const dtype of ['i32', 'u32'] as const) {
      expect([...known[dtype].data]).toEqual(want[dtype]);
      // The largest float below 2³¹ is 127 less: WGSL converts what floats can hold.
      expect([...got[dtype]].map((value, i) => Math.abs(value - want[dtype][i]) < 256)).toEqual([
        true,
        true,
        true,
        true,
      ]);
    }
  });
});
