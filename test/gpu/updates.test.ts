/** State that entries update, in place or through copies: random updates that read each other, against the interpreter. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { GraphBuilder, type Graph, type Node } from '../../compiler/ir/index.ts';
import { opTable, Functional, interpret, Random, type Bindings } from '../../compiler/ops/index.ts';
import { compileGraphs } from '../../compiler/compile.ts';
import { Program } from '../../runtime/program.ts';
import { TestGpu } from '../helpers/gpu.ts';
import { relativeError } from '../helpers/relative-error.ts';
import { drawValues } from '../helpers/samples.ts';
import { NAMES, SHAPE, updatesGraph } from '../helpers/updates-graph.ts';

describe('updates of state', () => {
  let gpu: TestGpu;
  beforeAll(async () => {
    gpu = await TestGpu.open();
  });
  afterAll(() => gpu.close());

  const SEEDS = Array.from({ length: 40 }, (_, seed) => seed);
  it.each([...SEEDS.map((seed) => [seed, false] as const), ...SEEDS.map((seed) => [seed, true] as const)])(
    'random %i, in a pack: %j',
    async (seed, packed) => {
      const graph = updatesGraph(seed, packed);
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
    },
  );

  it('an output that shows state is not read once another entry has changed that', async () => {
    const builder = new GraphBuilder(opTable);
    const f = new Functional(builder);
    const state = builder.apply('state', [], { name: 's', dtype: 'f32', shape: [4] });
    const entry = (name: string, node: Node): Graph => {
      return { name, inputs: [], outputs: [{ name: 'now', node }], updates: [{ state, node }] };
    };
    const artefact = compileGraphs([entry('one', f.add(state, 1)), entry('ten', f.add(state, 10))], {
      device: gpu.spec,
    });
    const program = await Program.create(gpu.opened.device, artefact);
    try {
      await program.run('one');
      expect([...(await program.readOutput('one', 'now'))]).toEqual([1, 1, 1, 1]);
      await program.run('ten');
      await expect(program.readOutput('one', 'now')).rejects.toMatchObject({ code: 'stale' });
      expect([...(await program.readOutput('ten', 'now'))]).toEqual([11, 11, 11, 11]);
    } finally {
      program.close();
    }
  });
});
