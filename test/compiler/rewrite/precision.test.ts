import { describe, expect, it } from 'vitest';
import { traceEntry } from '../../../compiler/dsl/model.ts';
import { GraphBuilder, nodesOf, verify, type Graph, type Node } from '../../../compiler/ir/index.ts';
import { Functional, interpret, opDef, opTable, Random } from '../../../compiler/ops/index.ts';
import { compileModel } from '../../../compiler/compile.ts';
import { passesFor, pipeline, runPasses } from '../../../compiler/pipeline.ts';
import { halfParams, lowerPrecision } from '../../../compiler/rewrite/precision.ts';
import { PORTABLE } from '../../../compiler/device.ts';
import { dit } from '../../../models/dit.ts';
import { checkGradient } from '../../helpers/gradient-check.ts';
import { randomGraph } from '../../helpers/random-graph.ts';
import { drawValues } from '../../helpers/samples.ts';

const contractions = (graph: Graph): Node[] => nodesOf(graph).filter(({ op }) => opDef(op).factors);
const floats = (nodes: readonly Node[]) => nodes.filter(({ type }) => type.dtype === 'f32' || type.dtype === 'f16');

describe('lowering', () => {
  it.each(Array.from({ length: 40 }, (_, seed) => seed))('keeps the value of random graph %i', (seed) => {
    const { graph, bindings } = randomGraph(seed, { size: 16, gradients: seed % 2 === 1 });
    const lowered = verify(lowerPrecision(graph), opTable);
    const [want, got] = [interpret(graph, bindings).outputs, interpret(lowered, bindings).outputs];
    for (const [name, { dtype, data }] of Object.entries(want)) {
      expect(got[name].dtype).toBe(dtype);
      data.forEach((x, i) => expect(Math.abs(got[name].data[i] - x)).toBeLessThanOrEqual(1e-12 * (1 + Math.abs(x))));
    }
    for (const node of contractions(lowered)) {
      expect(node.type.dtype).toBe('f32');
      for (const factor of node.inputs.slice(0, opDef(node.op).factors)) expect(factor.type.dtype).toBe('f16');
    }
  });

  it('finds every contraction of a model, forward and backward, and leaves all else in f32', () => {
    const model = dit({ inputSize: 4, hiddenSize: 8, depth: 1, numHeads: 2, numClasses: 3 });
    const options = { batch: 2, dtype: 'f16' };
    for (const name of ['forward', 'trainStepGiven']) {
      const { graph } = traceEntry(model, name, options);
      const passes = pipeline.slice(0, pipeline.findIndex((pass) => pass.name === 'gradients') + 1);
      const [{ graph: before }] = runPasses([graph], { device: PORTABLE, passes });
      const after = verify(lowerPrecision(before, halfParams([graph])), opTable);
      expect(contractions(after).length).toBe(contractions(before).length);
      expect(contractions(after).length).toBeGreaterThan(5);
      for (const node of floats(nodesOf(after))) {
        const { kind } = opDef(node.op);
        const carries = kind === 'view' || kind === 'leaf' || node.op === 'cast';
        if (node.type.dtype === 'f16') expect(carries, node.op).toBe(true);
      }
    }
  });

  it('stores as f16 the weights that only products read; what is trained stays f32', () => {
    const model = dit({ inputSize: 4, hiddenSize: 8, depth: 1, numHeads: 2, numClasses: 3 });
    const graphOf = (name: string) => traceEntry(model, name, { batch: 1 }).graph;
    const halves = halfParams([graphOf('forward')]);
    expect(halves).toContain('blocks.0.attn.qkv.weight');
    expect(halves).toContain('x_embedder.proj.weight');
    for (const name of ['pos_embed', 'blocks.0.attn.qkv.bias', 'y_embedder.embedding_table.weight'])
      expect(halves).not.toContain(name);
    expect(halfParams([graphOf('forward'), graphOf('trainStep')]).size).toBe(0);
  });

  it('gives parameters one dtype in all entries of a model, of which one may not multiply them', () => {
    const model = dit({ inputSize: 8, hiddenSize: 64, depth: 1, numHeads: 2, numClasses: 3 });
    const options = { name: 'm', source: 'm.ts', device: PORTABLE, verify: true, dtype: 'f16' as const };
    const entryOptions = { batch: 1, steps: 2, sampler: 'ddim', cfg: 1 };
    const { manifest } = compileModel(model, { ...options, entryOptions });
    const dtypes = Object.fromEntries(manifest.params.map(({ name, dtype }) => [name, dtype]));
    expect(dtypes['blocks.0.mlp.fc1.weight']).toBe('f16');
    expect(dtypes['blocks.0.mlp.fc1.bias']).toBe('f32');
    const whole = compileModel(model, { ...options, dtype: 'f32', entryOptions }).manifest;
    const [half, full] = [manifest, whole].map(({ entries }) => entries.forward.memory);
    expect(half.weightBytes).toBeLessThan(0.6 * full.weightBytes);
    expect(half.activationPeakBytes).toBeLessThan(full.activationPeakBytes);
    expect(manifest.entries.forward.dispatches.length).toBe(whole.entries.forward.dispatches.length);
    for (const { dtype } of [...manifest.entries.forward.inputs, ...manifest.entries.forward.outputs])
      expect(dtype).not.toBe('f16');
  });

  it('takes its place after the derivatives and what joins linears, before these are expanded', () => {
    const names = passesFor('f16').map(({ name }) => name);
    const places = ['gradients', 'cut', 'join-linears', 'lower-precision', 'expand'].map((name) => names.indexOf(name));
    expect(places).toEqual([...places].sort((x, y) => x - y));
    expect(places).not.toContain(-1);
    expect(names.filter((name) => name !== 'lower-precision')).toEqual(passesFor('f32').map(({ name }) => name));
  });
});

describe('contractions of f16 that give f32', () => {
  const half = (shape: readonly number[]) => ({ dtype: 'f16' as const, shape });
  const full = (shape: readonly number[]) => ({ dtype: 'f32' as const, shape });

  it.each([
    ['matmul', [half([3, 4]), half([4, 5])], {}],
    ['linear', [half([3, 4]), half([5, 4]), full([5])], {}],
    ['attention', [half([3, 4]), half([5, 4]), half([5, 2]), full([3, 5])], { scale: 0.5 }],
  ])('%s has the gradient that finite differences show', (op, types, attrs) => {
    const f = new Functional(new GraphBuilder(opTable));
    const inputs = types.map((type, i) => f.op('input', [], { ...type, name: `x${i}` }));
    const node = f.op(op, inputs, { ...attrs, dtype: 'f32' });
    expect(node.type.dtype).toBe('f32');
    const random = new Random(3);
    const bindings = Object.fromEntries(types.map((type, i) => [`x${i}`, drawValues(random, type)]));
    checkGradient(f, node, inputs, bindings, random);
    const { expand } = opDef(op);
    expect(expand?.(f, inputs, node.attrs, node.type).type ?? node.type).toEqual(node.type);
  });

  it.each([
    ['matmul', [full([3, 4]), full([4, 5])], 'f16'],
    ['matmul', [half([3, 4]), half([4, 5])], 'i32'],
    ['linear', [full([3, 4]), full([5, 4])], 'f16'],
    ['attention', [full([3, 4]), full([5, 4]), full([5, 2])], 'f16'],
  ])('%s of %j does not give %s', (op, types, dtype) => {
    expect(() => opDef(op).type(types, { scale: 1, dtype })).toThrow(/operands do not give a/);
  });
});
