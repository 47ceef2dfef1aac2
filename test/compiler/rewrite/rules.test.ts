/** Every rule of compiler/rewrite/rules is proven on random shapes, in value and gradient, and has a use in models/. */
import { describe, expect, it } from 'vitest';
import { gradients } from '../../../compiler/autodiff/index.ts';
import { traceEntry } from '../../../compiler/dsl/model.ts';
import { nodesOf, ownerOf, sizeOf, verify, type Graph, type Node } from '../../../compiler/ir/index.ts';
import { Functional, opTable, Random, type Bindings } from '../../../compiler/ops/index.ts';
import { applyRules, RewriteStats } from '../../../compiler/rewrite/engine.ts';
import { joinLinears, joinProducts, recognise, allRules } from '../../../compiler/rewrite/recognise.ts';
import { simplify } from '../../../compiler/rewrite/simplify.ts';
import { dit, type DiTConfig } from '../../../models/dit.ts';
import { autoencoderKL } from '../../../models/vae.ts';
import { gpt } from '../../models/zoo/gpt.ts';
import { llama } from '../../models/zoo/llama.ts';
import { mixture } from '../../models/zoo/mixture.ts';
import { parallel } from '../../models/zoo/parallel.ts';
import { unet } from '../../models/zoo/unet.ts';
import { WAYS, writtenOut } from '../../models/zoo/written-out.ts';
import { evaluate } from '../../helpers/gradient-check.ts';
import { instantiate, optionalNames } from './instantiate.ts';

/** Both sides are computed in float64; only the order of sums differs. */
const TOLERANCE = 1e-12;
/** Cases for each choice of absent operands. */
const CASES = 4;

/** All choices of names that are absent. */
function subsets(names: readonly string[]): Set<string>[] {
  return Array.from({ length: 2 ** names.length }, (_, bits) => new Set(names.filter((_name, i) => bits & (1 << i))));
}

const leaves = (graph: Graph) =>
  nodesOf(graph)
    .filter((node) => node.op === 'input' || node.op === 'param')
    .sort((a, b) => (String(a.attrs.name) < String(b.attrs.name) ? -1 : 1));

/** The outputs, and the gradient of a random combination of them with respect to every leaf: 0 where it does not matter any more. */
function valuesAndGradients(graph: Graph, bindings: Bindings, seed: number): Float64Array[] {
  const random = new Random(seed);
  const outputs = graph.outputs.map((output) => output.node);
  const f = new Functional(ownerOf(outputs[0])!);
  const loss = outputs
    .map((y) => {
      const data = Float64Array.from({ length: sizeOf(y.type.shape) }, () => random.uniform(-1, 1));
      const weighted = f.mul(y, f.op('constant', [], { dtype: 'f32', shape: y.type.shape, data }));
      const sum = f.sum(
        weighted,
        y.type.shape.map((_, i) => i),
      );
      return f.reshape(sum, []);
    })
    .reduce((a, b) => f.add(a, b));
  const known = new Map(leaves(graph).map((leaf) => [String(leaf.attrs.name), leaf]));
  const variables = [...known.values()].filter((leaf) => leaf.type.dtype === 'f32');
  const values = evaluate([...outputs, ...gradients(f, loss, variables)], bindings).map((value) => value.data);
  const slopes = new Map(variables.map((leaf, i) => [leaf.attrs.name, values[outputs.length + i]]));
  const names = Object.keys(bindings).filter((name) => known.get(name)?.type.dtype !== 'bool');
  const all = names.map((name) => slopes.get(name) ?? new Float64Array(bindings[name].length));
  return [...values.slice(0, outputs.length), ...all];
}

function expectEqual(actual: readonly Float64Array[], expected: readonly Float64Array[]): void {
  expect(actual.length).toBe(expected.length);
  expected.forEach((values, i) => {
    const scale = Math.max(1, ...values.map(Math.abs));
    expect(actual[i].length).toBe(values.length);
    expect(Math.max(...values.map((x, j) => Math.abs(x - actual[i][j])))).toBeLessThanOrEqual(TOLERANCE * scale);
  });
}

describe.each(allRules().map((rule) => [rule.name, rule] as const))('%s', (name, rule) => {
  it('states its equation', () => expect(rule.equation).toMatch(/\S{3}/));

  it('has two sides of one value and one gradient, whatever is absent', () => {
    for (const absent of subsets(optionalNames(rule))) {
      for (let seed = 0; seed < CASES; seed++) {
        const { graph, bindings } = instantiate(rule, absent, new Random(seed * 7919 + absent.size));
        const stats = new RewriteStats();
        const rewritten = verify(applyRules(graph, [rule], { stats }), opTable);
        expect(stats.hits.get(name), `fires on its own left side without ${[...absent].join(', ')}`).toBe(1);
        expectEqual(valuesAndGradients(rewritten, bindings, seed), valuesAndGradients(graph, bindings, seed));
      }
    }
  });
});

const SMALL = { inputSize: 4, patchSize: 2, hiddenSize: 8, depth: 2, numHeads: 2, numClasses: 3 } as const;
const BLOCKS: DiTConfig['block'][] = ['in-context', 'cross-attention', 'adaLN', 'adaLN-Zero'];
const DEVICE = { limits: { maxStorageBufferBindingSize: 2 ** 27 } };

const forward = (config: Partial<DiTConfig>, batch: number) =>
  simplify(traceEntry(dit(config), 'forward', { batch }).graph);

const bindingsOf = (graph: Graph, random: Random): Record<string, Float64Array> =>
  Object.fromEntries(
    leaves(graph).map((leaf: Node) => {
      const draw = () => (leaf.type.dtype === 'i32' ? random.int(0, 2) : random.uniform(-0.5, 0.5));
      return [String(leaf.attrs.name), Float64Array.from({ length: sizeOf(leaf.type.shape) }, draw)];
    }),
  );

describe('on the models', () => {
  it('every rule fires', () => {
    const stats = new RewriteStats();
    for (const block of BLOCKS) recognise(forward({ ...SMALL, block }, 2), { device: DEVICE, stats });
    // Models that diffusion has no use for, but a compiler must know.
    const ways = WAYS.map((way) => writtenOut({ way }));
    const others = [llama(), llama({ cap: 2 }), llama({ cap: 2, choice: true }), mixture({ gated: true }), parallel()];
    others.push(gpt({ mask: 'distance' }), gpt({ mask: 'masked distance' }));
    for (const model of [gpt(), ...others, ...ways])
      recognise(simplify(traceEntry(model, 'forward', { batch: 2 }).graph), { device: DEVICE, stats });
    joinLinears(simplify(traceEntry(parallel(), 'forward', { batch: 2 }).graph), { device: DEVICE, stats });
    recognise(traceEntry(unet(), 'attention', { batch: 2 }).graph, { device: DEVICE, stats });
    const autoencoder = autoencoderKL({ blockOutChannels: [4, 8], normNumGroups: 2, sampleSize: 4 });
    joinProducts(simplify(traceEntry(autoencoder, 'encode', { batch: 2 }).graph), { device: DEVICE, stats });
    const idle = allRules()
      .filter((rule) => !stats.hits.get(rule.name))
      .map((rule) => rule.name);
    expect(idle, 'rules that no model needs').toEqual([]);
  });

  it.each(BLOCKS.flatMap((block) => [1, 2, 3].map((batch) => [block, batch] as const)))(
    '%s, batch %i: attention in each block, and the same values',
    (block, batch) => {
      for (const numHeads of [1, 2]) {
        const graph = forward({ ...SMALL, numHeads, block }, batch);
        const stats = new RewriteStats();
        const rewritten = verify(recognise(graph, { device: DEVICE, stats }), opTable);
        expect(stats.hits.get('online_attention')).toBe(block === 'cross-attention' ? 4 : 2);
        expect(nodesOf(rewritten).filter((node) => node.op === 'softmax')).toEqual([]);
        const bindings = bindingsOf(graph, new Random(1));
        const [after, before] = [rewritten, graph].map((g) => evaluate([g.outputs[0].node], bindings)[0].data);
        expectEqual([after], [before]);
      }
    },
  );

  it('the heads of adaLN come in as many packs as a binding asks for', () => {
    const packs = (config: Partial<DiTConfig>) =>
      nodesOf(recognise(forward(config, 1), { device: DEVICE }))
        .filter((node) => node.op === 'concat' && node.type.shape.length === 2 && node.inputs[0].op === 'param')
        .map((node) => node.inputs.length);
    expect(packs({ ...SMALL, depth: 28 })).toEqual([28]);
    // 6912 × 1152 numbers a head: four of them are 121.5 MiB.
    expect(packs({})).toEqual([4, 4, 4, 4, 4, 4, 4]);
  });
});
