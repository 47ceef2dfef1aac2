/** State that entries update, in place or through copies: random updates that read each other, against the interpreter. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { GraphBuilder, type Graph, type Node } from '../../compiler/ir/index.ts';
import { Functional, interpret, opTable, Random, type Bindings } from '../../compiler/ops/index.ts';
import { relativeError, TestGpu } from '../helpers/gpu.ts';
import { drawValues } from '../helpers/samples.ts';

const SHAPE = [8, 16];
const NAMES = ['a', 'b', 'c'];

/** Next values of three states: element by element, shifted, transposed, through a product or a sum; some are others' old values. */
function updatesGraph(seed: number): Graph {
  const random = new Random(seed);
  const builder = new GraphBuilder(opTable);
  const f = new Functional(builder);
  const states = NAMES.map((name) => builder.apply('state', [], { name, dtype: 'f32', shape: SHAPE }));
  const pool: Node[] = [...states];
  const pick = () => random.pick(pool);
  const shifted = (x: Node) => f.concat([f.slice(x, [1, 0], [7, 16]), f.slice(x, [0, 0], [1, 16])], 0);
  const steps: (() => Node)[] = [
    () => f.add(f.mul(pick(), 0.5), pick()),
    () => f.add(pick(), shifted(pick())),
    () => f.sub(pick(), f.mean(pick(), [1])),
    () => f.mul(f.matmul(f.matmul(pick(), f.transpose(pick())), pick()), 0.01),
    () => f.sigmoid(pick()),
    pick,
  ];
  const count = random.int(2, 6);
  for (let i = 0; i < count; i++) pool.push(random.pick(steps)());
  const updates = states.filter(() => random.next() < 0.85).map((state) => ({ state, node: pick() }));
  return { name: 'step', inputs: [], outputs: [{ name: 'out', node: pick() }], updates };
}

describe('updates of state', () => {
  let gpu: TestGpu;
  beforeAll(async () => {
    gpu = await TestGpu.open();
  });
  afterAll(() => gpu.close());

  it.each(Array.from({ length: 40 }, (_, seed) => seed))('random %i', async (seed) => {
    const graph = updatesGraph(seed);
    const random = new Random(seed + 1000);
    const bindings: Bindings = Object.fromEntries(
      NAMES.map((name) => [name, drawValues(random, { dtype: 'f32', shape: SHAPE })]),
    );
    const expected = interpret(graph, bindings);
    const got = await gpu.runGraph(graph, bindings);
    expect(relativeError(got.outputs.out, expected.outputs.out.data)).toBeLessThan(1e-5);
    expect(Object.keys(got.updates).sort()).toEqual(Object.keys(expected.updates).sort());
    for (const [name, { data }] of Object.entries(expected.updates))
      expect(relativeError(got.updates[name], data), name).toBeLessThan(1e-5);
  });
});
