/** Random cases of ops, from their records' samplers: operand values, and a graph that applies the op once. */
import { GraphBuilder, sizeOf, type DType, type Graph, type Node, type TensorType } from '../../compiler/ir/index.ts';
import { Functional, opTable, Random, type Bindings, type OpDef, type Sample } from '../../compiler/ops/index.ts';

const DEFAULT_RANGE: Record<DType, readonly [number, number]> = {
  f32: [-2, 2],
  f16: [-2, 2],
  i32: [-2, 2],
  u32: [0, 4],
  bool: [0, 2],
};

/** Values of a type: floats of float32 precision from [lo, hi], integers from [lo, hi). */
export function drawValues(random: Random, type: TensorType, range = DEFAULT_RANGE[type.dtype]): Float64Array {
  const [lo, hi] = range;
  const real = type.dtype === 'f32' || type.dtype === 'f16';
  const draw = () => (real ? Math.fround(random.uniform(lo, hi)) : Math.floor(random.uniform(lo, hi)));
  return Float64Array.from({ length: sizeOf(type.shape) }, draw);
}

export interface OpCase {
  readonly f: Functional;
  readonly sample: Sample;
  readonly inputs: readonly Node[];
  readonly node: Node;
  readonly graph: Graph;
  readonly bindings: Bindings;
}

/** Case `seed` of an op: inputs a, b, c, … and the op applied to them. Leaves give themselves. */
export function opCase(def: OpDef, seed: number): OpCase {
  const random = new Random(seed * 7919 + 1);
  const sample = def.sample(random);
  const builder = new GraphBuilder(opTable);
  const f = new Functional(builder);
  const inputs = sample.inputs.map(({ dtype, shape }, i) =>
    builder.apply('input', [], { name: String.fromCharCode(97 + i), dtype, shape }),
  );
  const node = builder.apply(def.name, inputs, sample.attrs);
  const bindings: Record<string, Float64Array> = {};
  inputs.forEach((n, i) => (bindings[String(n.attrs.name)] = drawValues(random, n.type, sample.ranges?.[i])));
  if (typeof node.attrs.name === 'string') bindings[node.attrs.name] = drawValues(random, node.type);
  const listed = node.op === 'input' ? [node] : inputs;
  const graph: Graph = { name: 'sample', inputs: listed, outputs: [{ name: 'out', node }], updates: [] };
  return { f, sample, inputs, node, graph, bindings };
}
