/** Ops of ONNX in all their forms, against ONNX's own reference implementation (test/golden/make_onnx_ops.py). */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { traceEntry } from '../../../compiler/dsl/model.ts';
import { interpret } from '../../../compiler/ops/index.ts';
import { networkOf, onnxModel } from '../../../library/onnx/load.ts';
import { ops } from '../../../library/onnx/ops/index.ts';
import { openCheckpoint } from '../../../runtime/checkpoint/open.ts';
import { openSafetensors } from '../../../runtime/checkpoint/safetensors.ts';
import { MemorySource } from '../../../runtime/checkpoint/source.ts';
import type { AttributeProto, NodeProto } from '../../../runtime/onnx/messages.ts';
import { parseOnnx, type OnnxFile } from '../../../runtime/onnx/parse.ts';
import { ROOT } from '../../helpers/imports.ts';
import { relativeError } from '../../helpers/relative-error.ts';

const DATA = join(ROOT, 'test/golden/data/onnx');
const file = await openSafetensors(new MemorySource('ops', readFileSync(join(DATA, 'ops.safetensors'))));
const cases = [...file.tensors.keys()].flatMap((key) => (key.endsWith('.model') ? [key.slice(0, -6)] : []));

/** The float32 of a golden, rounded once, and of weights. */
const WITHIN = 3e-7;

describe('ops', () => {
  it.each(cases)('%s', async (name) => {
    const bytes = Uint8Array.from(await file.readF32(`${name}.model`));
    const network = networkOf(parseOnnx(bytes, name), name, DATA);
    const { graph } = traceEntry(onnxModel(network), 'forward', { batch: 1 });
    const weights = await openCheckpoint(new MemorySource(name, bytes));
    const bindings: Record<string, ArrayLike<number>> = { x: await file.readF32(`${name}.in.x`) };
    for (const key of weights.tensors.keys()) bindings[key] = await weights.readF32(key);
    const { outputs } = interpret(graph, bindings);
    const wanted = [...file.tensors.values()].filter(({ name: key }) => key.startsWith(`${name}.out.`));
    expect(wanted.length).toBeGreaterThan(0);
    for (const { name: key, shape } of wanted) {
      const got = outputs[key.slice(`${name}.out.`.length)];
      expect(got.shape, key).toEqual(shape);
      expect(relativeError(got.data, await file.readF32(key)), key).toBeLessThan(WITHIN);
    }
  });

  it('are those that docs/onnx.md lists', () => {
    const text = readFileSync(join(ROOT, 'docs/onnx.md'), 'utf8');
    const rows = text.split('\n').flatMap((line) => /^\| [a-z].*\| (`.*`) \|$/.exec(line)?.[1] ?? []);
    const listed = rows.flatMap((row) => [...row.matchAll(/`(\w+)`/g)].map(([, op]) => op));
    expect(listed.sort()).toEqual([...Object.keys(ops), 'If'].sort());
  });
});

const parsed = async (name: string) => parseOnnx(Uint8Array.from(await file.readF32(`${name}.model`)), `${name}.onnx`);
const trace = (onnx: OnnxFile, name: string) =>
  traceEntry(onnxModel(networkOf(onnx, `${name}.onnx`, DATA)), 'forward', { batch: 1 });

describe('what a node says and nobody reads is refused at the node, never passed over', () => {
  it.each(cases)('%s', async (name) => {
    const { length } = (await parsed(name)).graph.node;
    for (let at = 0; at < length; at++) {
      const onnx = await parsed(name);
      const node = onnx.graph.node[at];
      node.attribute.push({ name: 'unheard_of', i: 3 });
      expect(() => trace(onnx, name), node.opType).toThrow(
        new RegExp(
          `${name}\\.onnx: ${node.opType}.*unheard_of = 3 is (not read|no attribute of its function).*; .*export`,
          's',
        ),
      );
    }
  });

  /** A network whose node of an op has been changed. */
  const changed = async (of: string, change: (node: NodeProto) => void) => {
    for (const name of cases) {
      const onnx = await parsed(name);
      const [op, since] = of.split(/ of (\d+) on/);
      const node = onnx.graph.node.find(({ opType }) => opType === op);
      if (!node || onnx.opsetImport[0].version < Number(since ?? 0)) continue;
      change(node);
      return () => trace(onnx, name);
    }
    throw new Error(`no network has ${of}`);
  };
  const set = (attribute: AttributeProto) => (node: NodeProto) => {
    node.attribute = [...node.attribute.filter(({ name }) => name !== attribute.name), attribute];
  };
  const word = (name: string, text: string) => set({ name, s: new TextEncoder().encode(text) });
  const extra = ({ input }: NodeProto) => void input.push(input[0]);

  it.each<[what: string, op: string, change: (node: NodeProto) => void, told: RegExp]>([
    ['axes that are an operand now', 'ReduceSum', set({ name: 'axes', ints: [0] }), /its attribute axes = \[0\] is not read.*version/s], // prettier-ignore
    ['pieces that are an operand now', 'Split of 13 on', set({ name: 'split', ints: [1, 1] }), /its attribute split = \[1,1\] is not read/], // prettier-ignore
    ['an operand too many', 'Softmax', extra, /its operand 2 is not read/],
    ['statistics of each element', 'BatchNormalization', set({ name: 'spatial', i: 0 }), /spatial = 0/],
    ['an order of channels', 'DepthToSpace', word('mode', 'RDC'), /its mode is "RDC".*DCR, CRD are read/s],
    ['an approximation', 'Gelu', word('approximate', 'fast'), /its approximate is "fast".*none, tanh are read/s],
    ['a way to reduce', 'ScatterElements', word('reduction', 'mul'), /its reduction is "mul".*none, add are read/s],
    ['a norm', 'LpNormalization', set({ name: 'p', i: 3 }), /p is 3.*1 or 2/s],
    [
      'a kernel that is not the weight’s',
      'Conv',
      set({ name: 'kernel_shape', ints: [9] }),
      /kernel_shape is 9.*the weight is of/s,
    ],
  ])('%s: %s', async (_what, op, change, told) => {
    expect(await changed(op, change)).toThrow(told);
  });

  it('a region to resize, also one that becomes as large as the whole', async () => {
    const onnx = await parsed('nearest-floor');
    const node = onnx.graph.node.find(({ opType }) => opType === 'Resize')!;
    word('coordinate_transformation_mode', 'tf_crop_and_resize')(node);
    const scales = onnx.graph.initializer.find(({ name }) => name === node.input[2])!;
    Object.assign(scales, { floatData: undefined, rawData: new Uint8Array(Float32Array.of(1, 1, 1, 1).buffer) });
    expect(() => trace(onnx, 'nearest-floor')).toThrow(/tf_crop_and_resize is not read/);
  });

  it('an operand that a function does not take', async () => {
    const onnx = await parsed('function');
    const [name] = onnx.functions.map((one) => one.name);
    extra(onnx.graph.node.find(({ opType }) => opType === name)!);
    expect(() => trace(onnx, 'function')).toThrow(/operand \d is more than its function takes.*export it again/s);
  });

  it('but what changes nothing may be said', async () => {
    expect(await changed('MaxPool', set({ name: 'storage_order', i: 1 }))).not.toThrow();
    expect(await changed('LayerNormalization', set({ name: 'stash_type', i: 1 }))).not.toThrow();
  });
});
