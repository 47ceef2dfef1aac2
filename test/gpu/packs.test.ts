/** Parameters that entries join differently, change or bind alone: every model of them loads, and computes what it says. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { concat, defineModel, linear, type Model } from '../../compiler/dsl/index.ts';
import { traceEntry } from '../../compiler/dsl/model.ts';
import { sizeOf } from '../../compiler/ir/index.ts';
import { interpret, Random } from '../../compiler/ops/index.ts';
import { compileModel } from '../../compiler/pipeline.ts';
import { Program } from '../../runtime/program.ts';
import { relativeError, TestGpu } from '../helpers/gpu.ts';

type Entries = Model['entries'];
const SHAPE = [4, 16];

/** Three linears of one input. */
const three: Entries[string] = (e) => {
  const x = e.input('x', SHAPE);
  const [a, b, c] = ['a', 'b', 'c'].map((name) => e.params.linear(name, x, 16));
  return { three: a.mul(b).add(c) };
};
/** Two of them. */
const two: Entries[string] = (e) => {
  const x = e.input('x', SHAPE);
  return { two: e.params.linear('a', x, 16).mul(e.params.linear('b', x, 16)) };
};

const MODELS: Record<string, { entries: Entries; packs: string[] }> = {
  'entries that join more and fewer': { entries: { two, three }, packs: ['b.weight c.weight', 'b.bias c.bias'] },
  'one weight for two inputs': {
    entries: {
      shared(e) {
        const [x, z] = [e.input('x', SHAPE), e.input('z', SHAPE)];
        const of = (name: string, input: typeof x) => e.params.linear(name, input, 16);
        const crossed = of('q', x).mul(of('k', z)).add(of('v', z));
        return { crossed, own: of('q', x).mul(of('k', x)).add(of('v', x)) };
      },
    },
    packs: ['q.weight k.weight v.weight', 'q.bias k.bias v.bias'],
  },
  'one weight twice for one input': {
    entries: {
      twice(e) {
        const x = e.input('x', SHAPE);
        const w = e.params.param('w', [16, 16]);
        const [b, c] = [e.params.param('b', [16]), e.params.param('c', [16])];
        return { y: linear(x, w, b).mul(linear(x, w, c)) };
      },
    },
    packs: [],
  },
  'a join of what the entry changes': {
    entries: {
      step(e) {
        const x = e.input('x', SHAPE);
        const [a, b] = [e.params.param('a', [16, 8]), e.params.param('b', [8, 8])];
        const joined = concat([a, b], 0);
        e.update(a, a.mul(2));
        const y = x
          .matmul(joined.slice(0, 0, 16))
          .matmul(joined.slice(0, 16, 24))
          .sum();
        return { y: joined.matmul(joined.transpose()).add(y) };
      },
    },
    packs: ['a b'],
  },
  'a neighbour changed by what reads the other': {
    entries: {
      two,
      change(e) {
        const bias = e.params.param('a.bias', [16]);
        e.update(bias, bias.add(e.params.param('b.bias', [16])));
      },
    },
    packs: [],
  },
};

describe('packs of a model', () => {
  let gpu: TestGpu;
  beforeAll(async () => {
    gpu = await TestGpu.open();
  });
  afterAll(() => gpu.close());

  it.each(Object.entries(MODELS))('%s', async (_name, { entries, packs }) => {
    const model = defineModel({ config: {}, entries });
    const options = { name: 'packs', source: '', device: gpu.spec, verify: true, entryOptions: { batch: 1 } };
    const artefact = compileModel(model, options);
    const { manifest } = artefact;
    expect((manifest.packs ?? []).map(({ params }) => params.join(' ')).sort()).toEqual([...packs].sort());
    const program = await Program.create(gpu.opened.device, artefact);
    try {
      const random = new Random(1);
      const draw = (shape: readonly number[]) =>
        Float32Array.from({ length: sizeOf(shape) }, () => random.uniform(-1, 1));
      const values: Record<string, Float32Array> = {};
      for (const { name, shape } of manifest.params) await program.setParam(name, (values[name] = draw(shape)));
      for (const { name, shape } of Object.values(manifest.entries).flatMap(({ inputs }) => inputs))
        program.write(name, (values[name] ??= draw(shape)));
      for (const name of [...Object.keys(entries), ...Object.keys(entries)]) {
        const expected = interpret(traceEntry(model, name, { batch: 1 }).graph, values);
        await program.run(name);
        for (const [output, { data }] of Object.entries(expected.outputs))
          expect(relativeError(await program.readOutput(name, output), data), output).toBeLessThan(1e-5);
        for (const [param, { data }] of Object.entries(expected.updates)) {
          values[param] = Float32Array.from(data);
          expect(relativeError(await program.readParam(param), data), param).toBeLessThan(1e-5);
        }
      }
    } finally {
      program.close();
    }
  });
});
