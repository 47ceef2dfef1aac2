/**
 * ONNX files of a few nodes, written field by field: all that a benchmark of one product needs of the format
 * (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto, version 3). Field numbers are that file's.
 */
import { PbfWriter } from 'pbf';

type Field = readonly [number: number, value: number | string | Uint8Array];

/** A protobuf message: numbers as varints, all else length-delimited. */
function message(...fields: Field[]): Uint8Array {
  const writer = new PbfWriter();
  for (const [number, value] of fields) {
    if (typeof value === 'number') writer.writeVarintField(number, value);
    else if (typeof value === 'string') writer.writeStringField(number, value);
    else writer.writeBytesField(number, value);
  }
  return writer.finish();
}

const FLOAT = 1;
const INT64 = 7;

/** A constant of the graph. */
export function tensor(name: string, dims: readonly number[], data: Float32Array | BigInt64Array): Uint8Array {
  const type = data instanceof Float32Array ? FLOAT : INT64;
  const raw = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return message(...dims.map((d): Field => [1, d]), [2, type], [8, name], [9, raw]);
}

export interface OnnxNode {
  readonly op: string;
  readonly inputs: readonly string[];
  readonly output: string;
  /** Whole-number attributes. */
  readonly attributes?: Readonly<Record<string, number>>;
  /** Attributes that are lists of whole numbers. */
  readonly lists?: Readonly<Record<string, readonly number[]>>;
}

const INT_ATTRIBUTE = 2;
const INTS_ATTRIBUTE = 7;

function node({ op, inputs, output, attributes = {}, lists = {} }: OnnxNode): Uint8Array {
  const attribute = ([name, value]: [string, number]): Field => [
    5,
    message([1, name], [3, value], [20, INT_ATTRIBUTE]),
  ];
  const list = ([name, values]: [string, readonly number[]]): Field => [
    5,
    message([1, name], ...values.map((value): Field => [8, value]), [20, INTS_ATTRIBUTE]),
  ];
  return message(
    ...inputs.map((input): Field => [1, input]),
    [2, output],
    [4, op],
    ...Object.entries(attributes).map(attribute),
    ...Object.entries(lists).map(list),
  );
}

/** A model without inputs: constants, nodes in order, one f32 output. */
export function onnxModel(
  constants: readonly Uint8Array[],
  nodes: readonly OnnxNode[],
  output: { readonly name: string; readonly shape: readonly number[] },
): Uint8Array {
  const shape = message(...output.shape.map((d): Field => [1, message([1, d])]));
  const type = message([1, message([1, FLOAT], [2, shape])]);
  const graph = message(
    ...nodes.map((n): Field => [1, node(n)]),
    [2, 'bench'],
    ...constants.map((c): Field => [5, c]),
    [12, message([1, output.name], [2, type])],
  );
  return message([1, 8], [7, graph], [8, message([1, ''], [2, 17])]);
}
