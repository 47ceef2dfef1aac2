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
import { parseOnnx } from '../../../runtime/onnx/parse.ts';
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

  it('refuse a normalisation of each element by itself, which old networks may ask for', async () => {
    const parsed = await Promise.all(
      cases.map(async (name) => parseOnnx(Uint8Array.from(await file.readF32(`${name}.model`)), name)),
    );
    const node = (onnx: (typeof parsed)[number]) =>
      onnx.graph.node.find(({ opType }) => opType === 'BatchNormalization');
    const onnx = parsed.find(node)!;
    const [template] = parsed.flatMap(({ graph }) => graph.node.flatMap(({ attribute }) => attribute));
    node(onnx)!.attribute.push({ ...template, name: 'spatial', i: 0 });
    const trace = () => traceEntry(onnxModel(networkOf(onnx, 'old.onnx', DATA)), 'forward', { batch: 1 });
    expect(trace).toThrow(/BatchNormalization.*spatial = 0/s);
  });

  it('are those that docs/onnx.md lists', () => {
    const text = readFileSync(join(ROOT, 'docs/onnx.md'), 'utf8');
    const rows = text.split('\n').flatMap((line) => /^\| [a-z].*\| (`.*`) \|$/.exec(line)?.[1] ?? []);
    const listed = rows.flatMap((row) => [...row.matchAll(/`(\w+)`/g)].map(([, op]) => op));
    expect(listed.sort()).toEqual([...Object.keys(ops), 'If'].sort());
  });
});
