/**
 * Recompute: within a budget of memory the step stays what it is. Values are computed again bit by bit (in the interpreter),
 * the plan keeps to the budget where it can, and no copy reads a parameter after its update.
 */
import { describe, expect, it } from 'vitest';
import { gradients } from '../../../compiler/autodiff/index.ts';
import { traceEntry, type Model } from '../../../compiler/dsl/model.ts';
import { GraphBuilder, nodesOf, ownerOf, sizeOf, type Graph } from '../../../compiler/ir/index.ts';
import { Functional, interpret, opTable, type Interpreted } from '../../../compiler/ops/index.ts';
import { schedule, type Scheduled } from '../../../compiler/pipeline.ts';
import { PORTABLE } from '../../../compiler/device.ts';
import { dit, type DiTConfig } from '../../../models/dit.ts';
import { randomGraph } from '../../helpers/random-graph.ts';
import { updatesGraph } from '../../helpers/updates-graph.ts';
import { drawBindings } from '../../models/zoo.ts';
import { gpt } from '../../models/zoo/gpt.ts';
import { swin } from '../../models/zoo/swin.ts';
import { unet } from '../../models/zoo/unet.ts';

const SMALL: Partial<DiTConfig> = {
  ...{ inputSize: 8, patchSize: 2, inChannels: 2, hiddenSize: 16, depth: 3, numHeads: 2 },
  numClasses: 3,
};

const scheduled = (graph: Graph, memory?: number) => schedule(graph, { device: PORTABLE, verify: true, memory });

/** Without a budget; the same for all budgets of a graph. */
const unbounded = new WeakMap<Graph, Scheduled>();
function withoutBudget(graph: Graph): Scheduled {
  const whole = unbounded.get(graph) ?? scheduled(graph);
  unbounded.set(graph, whole);
  return whole;
}

/** What is in memory besides activations. */
const fixedBytes = (graph: Graph) =>
  nodesOf(graph)
    .filter(({ op, attrs }) => ['input', 'param', 'state'].includes(op) || attrs.data)
    .reduce((sum, { type }) => sum + 4 * sizeOf(type.shape), 0);

/** The plan with activations of at most a share of what they take without a budget, and that plan. */
function shrunk(traced: Graph, share: number): { readonly whole: Scheduled; readonly less: Scheduled; budget: number } {
  const whole = withoutBudget(traced);
  const budget = Math.floor(share * whole.memory.peakBytes);
  return { whole, less: scheduled(traced, budget + fixedBytes(whole.graph)), budget };
}

const copies = ({ graph }: Scheduled) => nodesOf(graph).filter(({ copy }) => copy !== undefined).length;

/** To the bit: what is computed again is computed as before. */
function expectSame(whole: Scheduled, less: Scheduled, bindings: Record<string, ArrayLike<number>>): void {
  const [want, got] = [whole, less].map(({ graph }) => interpret(graph, bindings));
  const values = ({ outputs, updates }: Interpreted) => Object.entries({ ...outputs, ...updates });
  expect(values(got).map(([name]) => name)).toEqual(values(want).map(([name]) => name));
  const other = new Map(values(want));
  for (const [name, { data }] of values(got))
    expect(
      data.every((x, i) => Object.is(x, other.get(name)!.data[i])),
      name,
    ).toBe(true);
  keepsToWhatIsRead(less);
}

/** Nothing runs before what it reads, nor over what others still want. */
function keepsToWhatIsRead({ regions, homes }: Scheduled): void {
  const position = new Map(regions.map(({ region }, i) => [region.root, i]));
  regions.forEach(({ region }, i) => {
    for (const read of region.reads) expect(position.get(read) ?? -1).toBeLessThan(i);
    const home = homes.get(region.root);
    expect(regions.slice(i + 1).some(({ region: other }) => home && other.reads.includes(home))).toBe(false);
  });
}

/** The loss mean(y²) of a model's first output, and its gradient in every parameter, taken off them. */
function descent(graph: Graph, params: Graph['inputs']): Graph {
  const y = graph.outputs[0].node;
  const f = new Functional(ownerOf(y)!);
  const axes = y.type.shape.map((_, i) => i);
  const loss = f.reshape(f.mul(f.sum(f.square(y), axes), 1 / sizeOf(y.type.shape)), []);
  const slopes = gradients(f, loss, params);
  const updates = params.map((state, i) => ({ state, node: f.sub(state, f.mul(slopes[i], 0.1)) }));
  return { ...graph, name: 'descent', outputs: [{ name: 'loss', node: loss }], updates };
}

describe('a training step computes the same', () => {
  const blocks = ['adaLN-Zero', 'adaLN', 'cross-attention', 'in-context'] as const;
  it.each(blocks)('of a DiT with blocks %s, in three quarters of the memory', (block) => {
    const { graph } = traceEntry(dit({ ...SMALL, block }), 'trainStep', { batch: 4 });
    const { whole, less, budget } = shrunk(graph, 0.75);
    expect(whole.memory.peakBytes).toBeGreaterThan(budget);
    expect(less.memory.peakBytes).toBeLessThanOrEqual(budget);
    expect(copies(less)).toBeGreaterThan(0);
    expect(less.recomputedMacs).toBeGreaterThan(0);
    expect(less.homes.size).toBe(whole.homes.size);
    expectSame(whole, less, drawBindings(graph));
  });

  // One block of a U-Net has nothing to spare: its skip connection is in memory all the time.
  const ZOO: [string, Model, number][] = [
    ['U-Net block', unet({ height: 8, width: 8, channels: 8, out: 8, time: 6 }), 1],
    ['causal language model', gpt({ tokens: 8, d: 24, heads: 2, depth: 4, vocabulary: 11 }), 0.9],
    ['network of shifted windows', swin({ height: 4, width: 8, window: 2, d: 16, heads: 2, cosine: true }), 0.9],
  ];
  it.each(ZOO)('of a %s, in as little as can be', (_name, model, share) => {
    const { graph, params } = traceEntry(model, 'forward', { batch: 4 });
    const step = descent(
      graph,
      params.map(({ node }) => node),
    );
    const { whole, less } = shrunk(step, 0);
    expect(less.memory.peakBytes).toBeLessThanOrEqual(share * whole.memory.peakBytes);
    expectSame(whole, less, drawBindings(step));
  });

  it.each(Array.from({ length: 24 }, (_, seed) => seed))('of a random graph, %i', (seed) => {
    const { graph, bindings } = randomGraph(seed, { size: 10 + seed, gradients: true });
    const { whole, less } = shrunk(graph, 0);
    expect(less.memory.peakBytes).toBeLessThanOrEqual(whole.memory.peakBytes);
    expectSame(whole, less, bindings);
  });

  it.each(Array.from({ length: 20 }, (_, seed) => seed))('of state that is updated, random %i', (seed) => {
    const graph = updatesGraph(seed);
    const { whole, less } = shrunk(graph, 0);
    expectSame(whole, less, drawBindings(graph));
  });
});

const [ROWS, WIDTH] = [64, 32];

/** Gradient descent on a chain of `depth` linears of weights that take turns: a weight is read again after other updates. */
function chain(depth: number, weights: number): Graph {
  const f = new Functional(new GraphBuilder(opTable));
  const leaf = (op: string, name: string, shape: number[]) => f.op(op, [], { name, dtype: 'f32', shape });
  const x = leaf('input', 'x', [ROWS, WIDTH]);
  const all = Array.from({ length: weights }, (_, i) => leaf('param', `w${i}`, [WIDTH, WIDTH]));
  let y = x;
  for (let i = 0; i < depth; i++) {
    const hidden = f.unary('silu', f.matmul(f.unary('silu', f.matmul(y, all[i % weights])), all[(i + 1) % weights]));
    y = f.add(y, hidden);
  }
  return descent({ name: 'chain', inputs: [x], outputs: [{ name: 'y', node: y }], updates: [] }, all);
}

describe('the plan', () => {
  it('keeps to its budget, and says what it costs', () => {
    const graph = chain(16, 16);
    let cost = 0;
    for (const share of [0.9, 0.7, 0.5, 0.4]) {
      const { less, budget } = shrunk(graph, share);
      expect(less.memory.peakBytes, `${share}`).toBeLessThanOrEqual(budget);
      // One plan may keep to two budgets.
      expect(less.recomputedMacs, `${share}`).toBeGreaterThanOrEqual(Math.max(1, cost));
      cost = less.recomputedMacs;
      // Not even the whole forward pass is done twice.
      if (share >= 0.5) expect(cost, `${share}`).toBeLessThan(2 * 16 * ROWS * WIDTH * WIDTH);
    }
  });

  it('changes nothing when there is room', () => {
    const graph = chain(8, 8);
    const [free, roomy] = [scheduled(graph), scheduled(graph, 2 ** 30)];
    expect(roomy.recomputedMacs).toBe(0);
    expect(copies(roomy)).toBe(0);
    expect(roomy.memory).toEqual({ ...free.memory, places: expect.anything(), lifetimes: expect.anything() });
  });

  it('grows with the root of the depth when it must: what a chain needs is not what all its links need', () => {
    const peak = (depth: number) => shrunk(chain(depth, depth), 0).less.memory.peakBytes;
    const value = 4 * ROWS * WIDTH;
    // The roots differ by 3. Each of the 27 links keeps two values that nobody computes again.
    expect(peak(36) - peak(9)).toBeLessThan(18 * value);
  });

  it.each([1, 2, 3])('lets no copy read a weight after its update: chains that share %i weights', (weights) => {
    const graph = chain(12, weights);
    const { whole, less } = shrunk(graph, 0.4);
    expect(copies(less)).toBeGreaterThan(0);
    expect(less.homes.size).toBe(weights);
    expectSame(whole, less, drawBindings(graph));
  });

  it('stays near what is alive at once', () => {
    const { graph } = traceEntry(dit({ ...SMALL, depth: 4 }), 'trainStep', { batch: 4 });
    for (const share of [1, 0.6]) {
      const { memory } = shrunk(graph, share).less;
      expect(memory.peakBytes).toBeLessThan(1.15 * memory.lowerBoundBytes);
    }
  });
});
