/** Values of an ONNX graph: tensors of the trace, numbers that are known when the network is read, and weights. */
import { constant, ones, xavierUniform, type DType, type Scope, type Tensor } from '../../compiler/dsl/index.ts';
import { Trace, withTrace } from '../../compiler/dsl/trace.ts';
import { DitcError, formatShape, nodesOf, sizeOf } from '../../compiler/ir/index.ts';
import { interpret } from '../../compiler/ops/index.ts';
import { isFloat, type DType as StoredType } from '../../runtime/checkpoint/dtype.ts';

/** Numbers that are known: shapes and what is computed from them, axes, paddings, constants. Whole ones may be beyond i32. */
export interface Known {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: ArrayLike<number>;
}

export interface Value {
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** As a tensor of the trace that is being written. */
  tensor(): Tensor;
  /** Its numbers, where they are known. */
  known?(): Known;
  /** Whether what is computed from it and its like is known too. Weights are known and remain parameters. */
  readonly folds: boolean;
}

/** By their names; those of the graphs around are seen from within. */
export type Values = Map<string, Value>;

/** What ditc computes with for a type of ONNX's: floats are f32, whole numbers i32. */
export const computedAs = (dtype: StoredType): DType => (dtype === 'bool' ? 'bool' : isFloat(dtype) ? 'f32' : 'i32');

export const tensorValue = (tensor: Tensor): Value => ({
  dtype: tensor.dtype,
  shape: tensor.shape,
  tensor: () => tensor,
  folds: false,
});

export const knownValue = (known: Known): Value => ({
  dtype: known.dtype,
  shape: known.shape,
  tensor: () => constantOf(known),
  known: () => known,
  folds: true,
});

/** A weight is a parameter where an op computes with it, and numbers where an op wants such (the scales of a Resize). */
export const weightValue = (params: Scope, name: string, shape: readonly number[], known: () => Known): Value => ({
  dtype: 'f32',
  shape,
  tensor: () => params.param(name, shape, shape.length > 1 ? xavierUniform(sizeOf(shape.slice(1)), shape[0]) : ones),
  known,
  folds: false,
});

/** Of i32. Ends of slices are beyond: as many as there are. */
const [LEAST, MOST] = [-(2 ** 31), 2 ** 31 - 1];

function constantOf({ dtype, shape, data }: Known): Tensor {
  if (!sizeOf(shape)) {
    const what = `a tensor of no elements, ${formatShape(shape)}`;
    throw new DitcError({ code: 'shape', what, fix: 'export the network for sizes that leave none empty' });
  }
  const values = dtype === 'i32' ? Array.from(data, (value) => Math.min(Math.max(value, LEAST), MOST)) : data;
  return sizeOf(shape) === 1 ? constant(values[0], [...shape], dtype) : constant(values, [...shape], dtype);
}

/** Larger results are computed by the device: a table that is written out takes its place in every artefact. */
const MOST_FOLDED = 2 ** 16;

/** What `compute` makes of known numbers alone; undefined where it is too much to be worked out here. */
export function folded(compute: () => readonly Tensor[]): Known[] | undefined {
  const tensors = withTrace(new Trace(), compute);
  const outputs = tensors.map(({ node }, i) => ({ name: `out${i}`, node }));
  const graph = { name: 'fold', inputs: [], outputs, updates: [] };
  if (nodesOf(graph).some(({ type }) => sizeOf(type.shape) > MOST_FOLDED)) return undefined;
  const found = interpret(graph, {}).outputs;
  return outputs.map(({ name }) => found[name]);
}
