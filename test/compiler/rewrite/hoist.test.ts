/** Hoisting: prelude and body together compute what the loop computed, and the body is lighter. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { defineModel, silu, type Model } from '../../../compiler/dsl/index.ts';
import { traceEntry } from '../../../compiler/dsl/model.ts';
import { GraphBuilder, nodesOf, sizeOf, type Graph } from '../../../compiler/ir/index.ts';
import { verify } from '../../../compiler/ir/verify.ts';
import { Functional, interpret, opTable, Random } from '../../../compiler/ops/index.ts';
import { compileModel } from '../../../compiler/compile.ts';
import { hoist, type TableLimits } from '../../../compiler/rewrite/hoist.ts';
import { Program } from '../../../runtime/program.ts';
import { dit } from '../../../models/dit.ts';
import { TestGpu } from '../../helpers/gpu.ts';
import { relativeError } from '../../helpers/relative-error.ts';

const ANY: TableLimits = { each: Infinity, total: Infinity, weights: Infinity };
const SMALL = { inputSize: 4, patchSize: 2, hiddenSize: 16, depth: 2, numHeads: 2, numClasses: 3 };

const traced = (model: Model, name: string, options = {}): Graph =>
  traceEntry(model, name, { batch: 2, ...options }).graph;

/** Values for all leaves of a graph, by name; integers are small. */
function bindingsOf(graph: Graph, seed: number): Record<string, number[]> {
  const random = new Random(seed);
  const leaves = nodesOf(graph).filter(({ op }) => ['input', 'param', 'state'].includes(op));
  return Object.fromEntries(
    leaves.map(({ attrs, type }) => {
      const draw = () => (type.dtype === 'f32' ? Math.fround(random.uniform(-1, 1)) : random.int(0, 2));
      return [String(attrs.name), Array.from({ length: sizeOf(type.shape) }, draw)];
    }),
  );
}

const asArrays = (values: Record<string, { data: ArrayLike<number> }>) =>
  Object.fromEntries(Object.entries(values).map(([name, { data }]) => [name, Array.from(data)]));

/** Runs the body after the prelude for each value of the counter and compares it with the graph as it was. */
function expectSame(graph: Graph, counter: string, count: number, limits = ANY): void {
  const { body, prelude } = hoist(graph, limits);
  for (const part of [body, prelude!]) verify(part, opTable);
  const bindings = bindingsOf(graph, 1);
  const tables = asArrays(interpret(prelude!, { ...bindingsOf(prelude!, 1), ...bindings }).updates);
  for (let i = 0; i < count; i++) {
    const now = { ...bindings, [counter]: [i] };
    const expected = interpret(graph, now);
    const got = interpret(body, { ...now, ...tables });
    expect(asArrays(got.updates)).toEqual(asArrays(expected.updates));
    expect(asArrays(got.outputs)).toEqual(asArrays(expected.outputs));
  }
}

const opsOf = (graph: Graph) => nodesOf(graph).map(({ op }) => op);
const macs = (graph: Graph, op: string) => opsOf(graph).filter((name) => name === op).length;

/** A loop whose body reads a table of its own making, an input, and a value that it carries. */
const loop = defineModel({
  config: {},
  entries: {
    turn(e) {
      const i = e.counter('i', 5);
      const x = e.state('x', [2, 8]);
      const context = e.input('context', [2, 8]);
      const fixed = e.params.linear('fixed', context, 8);
      const turning = e.params.linear('turning', silu(context.add(i.cast('f32'))), 8);
      e.update(x, e.params.linear('carried', x, 8).add(fixed).mul(turning));
      e.update(i, i.add(1));
      return { seen: turning.sum(-1) };
    },
  },
});

describe('hoist', () => {
  it('computes before the loop what depends on the counter and on inputs only', () => {
    const graph = traced(loop, 'turn');
    const { body, prelude } = hoist(graph, ANY);
    expect(macs(body, 'linear')).toBe(1);
    expect(macs(prelude!, 'linear')).toBe(2);
    expect(prelude!.updates.map(({ state }) => state.type.shape)).toEqual([
      [2, 8],
      [5, 2, 8],
      [5, 2, 1],
    ]);
    expectSame(graph, 'i', 5);
  });

  it.each([
    ['ddpm with guidance', { steps: 4 }],
    ['ddim', { steps: 3, sampler: 'ddim', cfg: 1 }],
    ['one step', { steps: 1 }],
  ])('keeps what a sampling step computes: %s', (_name, options) => {
    const graph = traced(dit(SMALL), 'sampleStep', options);
    expectSame(graph, 'step', (options as { steps: number }).steps);
  });

  it.each(['in-context', 'cross-attention', 'adaLN', 'adaLN-Zero'] as const)(
    'leaves %s blocks no work on (t, y)',
    (block) => {
      const graph = traced(dit({ ...SMALL, block }), 'sampleStep', { steps: 3 });
      const { body } = hoist(graph, ANY);
      const heads = { 'in-context': 0, 'cross-attention': 2 * 2, adaLN: 3, 'adaLN-Zero': 3 }[block];
      // The two linears of the timestep's MLP, and what reads (t, y): modulations, or keys and values of the context.
      expect(macs(graph, 'linear') - macs(body, 'linear')).toBe(2 + heads);
      expectSame(graph, 'step', 3);
    },
  );

  it('takes back into the loop what does not fit, largest first', () => {
    const graph = traced(dit(SMALL), 'sampleStep', { steps: 3 });
    const all = hoist(graph, ANY).prelude!.updates.length;
    const bytes = 4 * 3 * 4 * 2 * 16;
    const { prelude } = hoist(graph, { each: bytes, total: Infinity, weights: Infinity });
    expect(prelude!.updates.length).toBeLessThan(all);
    for (const { state } of prelude!.updates) expect(4 * sizeOf(state.type.shape)).toBeLessThanOrEqual(bytes);
    expectSame(graph, 'step', 3, { each: bytes, total: Infinity, weights: Infinity });
    expect(hoist(graph, { each: 0, total: 0, weights: 0 }).prelude).toBeUndefined();
  });

  it('normalises weights once, where there is room for as many again', () => {
    const model = defineModel({
      config: {},
      entries: {
        turn(e) {
          const i = e.counter('i', 3);
          const x = e.state('x', [4, 8]);
          const w = e.params.param('w', [6, 8]);
          const centred = w.sub(w.mean([1], { keepDims: true }));
          const y = silu(x.matmul(centred.div(centred.square().mean([1], { keepDims: true }).sqrt()).transpose()));
          e.update(x, x.add(y.matmul(w)).mul(i.cast('f32')));
          e.update(i, i.add(1));
          return {};
        },
      },
    });
    const graph = traced(model, 'turn');
    const tablesOf = (limits: TableLimits) => hoist(graph, limits).prelude!.updates.map(({ node }) => node.type.shape);
    expect(tablesOf(ANY)).toEqual([[6, 8]]);
    expectSame(graph, 'i', 3);
    const statistics = { ...ANY, weights: 6 * 8 * 4 - 1 };
    expect(tablesOf(statistics)).toEqual([
      [6, 1],
      [6, 1],
    ]);
    expectSame(graph, 'i', 3, statistics);
  });

  it('names no table as a state or another table is named', () => {
    const model = defineModel({
      config: {},
      entries: {
        turn(e) {
          const i = e.counter('i', 2);
          const x = e.state('turn.seen', [4]);
          const context = e.input('context', [4, 8]).add(i.cast('f32'));
          const [a, b] = ['a', 'b'].map((name) => e.params.at(name).linear('seen', context, 4));
          e.update(x, x.add(1));
          e.update(i, i.add(1));
          return { a, b };
        },
      },
    });
    const graph = traced(model, 'turn');
    const names = hoist(graph, ANY).prelude!.updates.map(({ state }) => state.attrs.name);
    expect(names).toEqual(['turn.seen.1', 'turn.seen.2']);
    expectSame(graph, 'i', 2);
  });

  it.each([
    ['f32', [], 3],
    ['i32', [2], 3],
    ['i32', [], 1.5],
    ['i32', [], 0],
  ])('takes no %s%j of %d values for a counter', (dtype, shape, count) => {
    const f = new Functional(new GraphBuilder(opTable));
    const state = f.op('state', [], { name: 'i', dtype, shape, count });
    const [x, w] = ['x', 'w'].map((name) => f.op('param', [], { name, dtype: 'f32', shape: [2, 2] }));
    const y = f.matmul(f.add(x, f.cast(state, 'f32')), w);
    const graph = {
      name: 'g',
      inputs: [],
      outputs: [{ name: 'y', node: y }],
      updates: [{ state, node: f.add(state, 1) }],
    };
    expect(hoist(graph, ANY).prelude).toBeUndefined();
  });

  it('leaves entries alone that are no loops', () => {
    const graph = traced(dit(SMALL), 'forward');
    expect(hoist(graph, ANY)).toEqual({ body: graph });
  });
});

/** Two entries that take an input of one name in two sizes; the prelude of the first does not read it. */
const sized = defineModel({
  config: {},
  entries: {
    turn(e) {
      const i = e.counter('i', 2);
      const x = e.input('x', [2, 8]);
      const turning = e.params.linear('turning', e.input('context', [2, 8]).add(i.cast('f32')), 8);
      e.update(i, i.add(1));
      return { y: x.mul(turning).add(turning) };
    },
    other: (e) => ({ z: e.params.linear('wide', e.input('x', [4, 8]), 32) }),
  },
});

describe('preludes on the device', () => {
  let gpu: TestGpu;
  beforeAll(async () => {
    gpu = await TestGpu.open();
  });
  afterAll(() => gpu.close());

  it('run before the loop and again when what they read changes', async () => {
    const artefact = compileModel(loop, {
      name: 'loop',
      source: '',
      device: gpu.spec,
      verify: true,
      entryOptions: { batch: 1 },
    });
    const graph = traced(loop, 'turn');
    const program = await Program.create(gpu.opened.device, artefact, { entries: ['turn'] });
    try {
      let values = bindingsOf(graph, 2);
      for (const { name } of artefact.manifest.params) await program.setParam(name, Float32Array.from(values[name]));
      program.write('context', Float32Array.from(values.context));
      program.writeState('x', Float32Array.from(values.x));
      program.writeState('i', Int32Array.of(0));
      values = { ...values, i: [0] };
      const turn = async () => {
        await program.run('turn');
        const { outputs, updates } = interpret(graph, values);
        const seen = await program.readOutput('turn', 'seen');
        const x = await program.readState('x');
        for (const [got, expected] of [
          [seen, outputs.seen.data],
          [x, updates.x.data],
        ] as const)
          expect(relativeError(got, expected)).toBeLessThan(1e-5);
        values = { ...values, x: Array.from(updates.x.data), i: Array.from(updates.i.data) };
      };
      await turn();
      await turn();
      values.context = values.context.map((value) => -value);
      program.write('context', Float32Array.from(values.context));
      await turn();
      values['turning.bias'] = values['turning.bias'].map((value) => value + 1);
      await program.setParam('turning.bias', Float32Array.from(values['turning.bias']));
      await turn();
      // Setting a parameter takes time; a run in the meantime computes with what is there by then.
      values['turning.weight'] = values['turning.weight'].map((value) => value / 2);
      async function* chunks() {
        yield Float32Array.from(values['turning.weight'].slice(0, 32));
        await program.run('turn');
        yield Float32Array.from(values['turning.weight'].slice(32));
      }
      await program.setParam('turning.weight', chunks());
      const [x, i] = [await program.readState('x'), await program.readState('i')];
      values = { ...values, x: Array.from(x), i: Array.from(i) };
      program.writeState('i', Int32Array.of((values.i = [1])[0]));
      await turn();
      program.clear('param', 'fixed.weight');
      values['fixed.weight'] = values['fixed.weight'].map(() => 0);
      await turn();
    } finally {
      program.close();
    }
  });

  it('are still due after a run that was refused', async () => {
    const options = { name: 'sized', source: '', device: gpu.spec, verify: true, entryOptions: { batch: 1 } };
    const artefact = compileModel(sized, options);
    expect(artefact.manifest.entries.turn.prelude).toBe('turn.prelude');
    const program = await Program.create(gpu.opened.device, artefact);
    try {
      const graph = traced(sized, 'turn');
      const values: Record<string, number[]> = { ...bindingsOf(graph, 3), i: [0] };
      for (const name of ['turning.weight', 'turning.bias'])
        await program.setParam(name, Float32Array.from(values[name]));
      program.write('context', Float32Array.from(values.context));
      program.write('x', new Float32Array(32));
      await expect(program.run('turn')).rejects.toMatchObject({ code: 'mismatch' });
      program.write('x', Float32Array.from(values.x));
      await program.run('turn');
      const { outputs } = interpret(graph, values);
      expect(relativeError(await program.readOutput('turn', 'y'), outputs.y.data)).toBeLessThan(1e-5);
    } finally {
      program.close();
    }
  });
});
