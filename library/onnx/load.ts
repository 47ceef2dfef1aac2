/** An ONNX file as a model: `forward`, from its inputs to its outputs. Its weights stay in it: it is its own checkpoint. */
import { readFileSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { defineModel, type Entry, type Model, type Tensor } from '../../compiler/dsl/index.ts';
import { setPlace } from '../../compiler/dsl/trace.ts';
import { DitcError } from '../../compiler/ir/index.ts';
import { isWeight, modelNames } from '../../runtime/onnx/names.ts';
import { parseOnnx, type OnnxFile } from '../../runtime/onnx/parse.ts';
import { nearestName } from '../../runtime/checkpoint/suggest.ts';
import type { GraphProto, TensorProto } from '../../runtime/onnx/messages.ts';
import { externalRange, numbersOf, tensorOf, type External, type OnnxTensor } from '../../runtime/onnx/tensor.ts';
import { inputSpecs, inputValue, type InputSpec } from './inputs.ts';
import { Writer } from './network.ts';
import { computedAs, knownValue, weightValue, type Known, type Value, type Values } from './value.ts';

export interface OnnxNetwork {
  /** What the file is called in errors. */
  readonly where: string;
  readonly inputs: readonly InputSpec[];
  /** What its outputs are called, by the names that the file has for them. */
  readonly outputs: ReadonlyMap<string, string>;
  /** The wanted values of the file, of inputs by the file's names. @throws DitcError at a node. */
  write(e: Entry, inputs: ReadonlyMap<string, Tensor>, wanted: readonly string[]): Map<string, Tensor>;
}

/** Protocol buffers end there. */
const MOST_BYTES = 2 ** 31 - 1;

/** @throws DitcError or RuntimeError naming the file. */
export function readOnnx(path: string, where = path): OnnxNetwork {
  const found = statSync(path, { throwIfNoEntry: false });
  if (!found?.isFile()) {
    const what = found ? 'it is no file' : 'there is no such file';
    throw new DitcError({ code: 'no-file', where, what, fix: 'give the path of an .onnx file' });
  }
  const { size } = found;
  if (size > MOST_BYTES) {
    const fix = 'export it with external_data=True';
    throw new DitcError({ code: 'limit', where, what: `it has ${size} bytes, and an ONNX file fewer than 2^31`, fix });
  }
  return networkOf(parseOnnx(readFileSync(path), where), where, dirname(path));
}

/** `folder` is where tensors outside of the file lie. */
export function networkOf({ graph, opsetImport, functions }: OnnxFile, where: string, folder: string): OnnxNetwork {
  const read = (proto: TensorProto): Known => knownOf(tensorOf(proto, where), where, folder);
  const own = new Set(graph.initializer.map(({ name }) => name));
  const { weights, inputs, outputs } = modelNames(graph);
  const valueOf = (e: Entry, proto: TensorProto): Value => {
    if (!isWeight(proto)) return knownValue(read(proto));
    return weightValue(e.params, weights.get(proto.name)!, proto.dims, () => read(proto));
  };
  return {
    where,
    // Old files list weights among the inputs.
    inputs: inputSpecs(
      graph.input.filter(({ name }) => !own.has(name)),
      inputs,
      where,
    ),
    outputs,
    write(e, inputs, wanted) {
      setPlace(where, undefined);
      for (const name of wanted) checkComputed(name, graph, where);
      const values: Values = new Map(graph.initializer.map((proto) => [proto.name, valueOf(e, proto)]));
      for (const [name, tensor] of inputs) values.set(name, inputValue(tensor));
      new Writer({ where, opsets: opsetImport, functions, read }).write(graph.node, values, wanted);
      return new Map(wanted.map((name) => [name, resultOf(name, values, where)]));
    },
  };
}

/** Throws unless a node makes the value, or it is given. */
function checkComputed(name: string, { node, input, initializer }: GraphProto, where: string): void {
  const all = [...input, ...initializer].map((given) => given.name).concat(node.flatMap(({ output }) => output));
  if (all.includes(name)) return;
  const near = nearestName(name, all);
  const fix = `${near ? `did you mean ${near}? ` : ''}give the name of an output of the network, or of one of its nodes`;
  throw new DitcError({ code: 'not-found', where, what: `no node computes ${name}`, fix });
}

function resultOf(name: string, values: Values, where: string): Tensor {
  const found = values.get(name);
  if (found) return found.tensor();
  const what = `${name} is a result of its node that ditc does not compute`;
  throw new DitcError({ code: 'unsupported', where, what, fix: 'take its first output, or another value' });
}

function knownOf(tensor: OnnxTensor, where: string, folder: string): Known {
  const { dtype, shape, data } = tensor;
  const bytes = data instanceof Uint8Array ? data : besides(tensor, data, where, folder);
  return { dtype: computedAs(dtype), shape, data: numbersOf(dtype, bytes) };
}

function besides(tensor: OnnxTensor, { location }: External, where: string, folder: string): Uint8Array {
  const path = join(folder, location);
  if (!statSync(path, { throwIfNoEntry: false })?.isFile()) {
    const what = `${tensor.name} lies in ${location}, which is not beside it`;
    throw new DitcError({ code: 'io', where, what, fix: 'copy that file into the folder of this one' });
  }
  const bytes = readFileSync(path);
  const { offset, length } = externalRange(tensor, where, bytes.length);
  return bytes.subarray(offset, offset + length);
}

/** The model of a file: all its outputs. */
export const onnxModel = (network: OnnxNetwork): Model =>
  defineModel({
    config: {},
    entries: {
      forward(e) {
        setPlace(network.where, undefined);
        const given = network.inputs.map(
          (spec) => [spec.file, e.input(spec.name, spec.shape(e.options), spec.dtype)] as const,
        );
        const found = network.write(e, new Map(given), [...network.outputs.keys()]);
        return Object.fromEntries([...found].map(([name, tensor]) => [network.outputs.get(name)!, tensor]));
      },
    },
  });

/** The stem of the file's name. */
export const onnxName = (path: string): string => basename(path).replace(/\.onnx$/i, '');
