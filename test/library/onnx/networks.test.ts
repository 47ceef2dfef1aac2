/** Networks that torch.onnx wrote, against PyTorch (test/golden/make_onnx.py): by the interpreter, and as kernels. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { PORTABLE } from '../../../compiler/device.ts';
import { traceEntry } from '../../../compiler/dsl/model.ts';
import type { Graph } from '../../../compiler/ir/index.ts';
import { interpret } from '../../../compiler/ops/index.ts';
import { networkOf, onnxModel, readOnnx, type OnnxNetwork } from '../../../library/onnx/load.ts';
import { MemorySource } from '../../../runtime/checkpoint/source.ts';
import { openCheckpoint } from '../../../runtime/checkpoint/open.ts';
import { openSafetensors } from '../../../runtime/checkpoint/safetensors.ts';
import { openCheckpointFile } from '../../../runtime/node/checkpoint.ts';
import { parseOnnx } from '../../../runtime/onnx/parse.ts';
import { runSchedule } from '../../helpers/run-schedule.ts';
import { relativeError } from '../../helpers/relative-error.ts';

const DATA = join(import.meta.dirname, '../../golden/data/onnx');

type Values = Record<string, ArrayLike<number>>;

async function golden(name: string): Promise<{ values: Values; model?: Uint8Array; batch: number }> {
  const file = await openSafetensors(new MemorySource(name, readFileSync(join(DATA, `${name}.safetensors`))));
  const values: Values = {};
  for (const [key, { dtype }] of file.tensors)
    if (key !== 'model') values[key] = dtype === 'i32' ? await file.readI32(key) : await file.readF32(key);
  const first = [...file.tensors.values()].find(({ name: key }) => key.startsWith('input.'))!;
  const model = file.tensors.has('model') ? Uint8Array.from(await file.readF32('model')) : undefined;
  return { values, model, batch: first.shape[0] };
}

async function weightsOf(bytes: Uint8Array): Promise<Values> {
  const file = await openCheckpoint(new MemorySource('net.onnx', bytes));
  return Object.fromEntries(
    await Promise.all([...file.tensors.keys()].map(async (key) => [key, await file.readF32(key)])),
  );
}

const inputsOf = (values: Values): Values =>
  Object.fromEntries(
    Object.entries(values).flatMap(([key, v]) => (key.startsWith('input.') ? [[key.slice(6), v]] : [])),
  );

function check(outputs: Values, values: Values, within: number): void {
  const wanted = Object.keys(values).filter((key) => key.startsWith('output.'));
  expect(Object.keys(outputs).sort()).toEqual(wanted.map((key) => key.slice(7)).sort());
  for (const key of wanted) expect(relativeError(outputs[key.slice(7)], values[key]), key).toBeLessThan(within);
}

const interpreted = (graph: Graph, bindings: Values): Values =>
  Object.fromEntries(Object.entries(interpret(graph, bindings).outputs).map(([key, { data }]) => [key, data]));

const traced = (network: OnnxNetwork, batch: number, sides = {}) =>
  traceEntry(onnxModel(network), 'forward', { batch, ...sides }).graph;

describe.each(['inception', 'resnet', 'vit', 'decoder', 'text'])('%s', (name) => {
  it('is what PyTorch computes', async () => {
    const { values, model, batch } = await golden(name);
    const graph = traced(networkOf(parseOnnx(model!, name), name, DATA), batch, { height: 37, width: 29 });
    const bindings = { ...(await weightsOf(model!)), ...inputsOf(values) };
    check(interpreted(graph, bindings), values, 1e-6);
    check(runSchedule(graph, bindings, { device: PORTABLE }).outputs, values, 1e-5);
  });
});

it('weights in a file beside it are found there', async () => {
  const { values, batch } = await golden('external');
  const path = join(DATA, 'external.onnx');
  const file = await openCheckpointFile(path);
  const weights = Object.fromEntries(
    await Promise.all([...file.tensors.keys()].map(async (key) => [key, await file.readF32(key)])),
  );
  await file.close();
  const graph = traced(readOnnx(path), batch);
  check(interpreted(graph, { ...weights, ...inputsOf(values) }), values, 1e-6);
});
